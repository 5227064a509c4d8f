// One image on one WebGL2 canvas: 16 bit samples in an integer texture, interpolation and window in the shader.

/** @typedef {import("./decode.js").Frame} Frame */
/** @typedef {import("./series.js").ImageInfo} ImageInfo */
/** @typedef {import("./series.js").Voi} Voi */
/** @typedef {import("./geometry.js").View} View */

/**
 * @typedef {object} Look
 * @property {Voi | null} voi in modality units; null for colour
 * @property {boolean} invert
 */

const vertexShader = `#version 300 es
void main() {
    // One triangle that covers everything.
    gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

/**
 * Stored values are interpolated before the window is applied: the other order would blur the edges of the window.
 * @param {string} sampler @param {boolean} isColour
 */
function fragmentShader(sampler, isColour) {
    return `#version 300 es
precision highp float;
precision highp int;
precision highp ${sampler};
uniform ${sampler} image;
uniform ivec2 size;
uniform vec2 origin;      // image coordinates of the canvas's top left corner
uniform vec2 across;      // image step of one canvas pixel to the right
uniform vec2 down;
uniform float height;     // of the canvas
uniform bool nearest;
uniform vec2 rescale;     // slope, intercept
uniform vec2 voi;         // centre, width
uniform int voiFunction;  // 0 LINEAR, 1 LINEAR_EXACT, 2 SIGMOID
uniform bool invert;
out vec4 colour;

vec3 texel(ivec2 at) {
    return vec3(texelFetch(image, clamp(at, ivec2(0), size - 1), 0).rgb);
}

float brightness(float value) {
    if (voiFunction == 2) return 1.0 / (1.0 + exp(-4.0 * (value - voi.x) / voi.y));
    if (voiFunction == 1) return clamp((value - voi.x) / voi.y + 0.5, 0.0, 1.0);
    if (voi.y <= 1.0) return value <= voi.x - 0.5 ? 0.0 : 1.0;
    return clamp((value - (voi.x - 0.5)) / (voi.y - 1.0) + 0.5, 0.0, 1.0);
}

void main() {
    vec2 canvas = vec2(gl_FragCoord.x, height - gl_FragCoord.y);
    vec2 position = origin + canvas.x * across + canvas.y * down;
    if (any(lessThan(position, vec2(0.0))) || any(greaterThanEqual(position, vec2(size)))) {
        colour = vec4(0.0, 0.0, 0.0, 1.0);
        return;
    }
    vec3 stored;
    if (nearest) {
        stored = texel(ivec2(floor(position)));
    } else {
        vec2 corner = floor(position - 0.5);
        vec2 part = position - 0.5 - corner;
        ivec2 at = ivec2(corner);
        stored = mix(
            mix(texel(at), texel(at + ivec2(1, 0)), part.x),
            mix(texel(at + ivec2(0, 1)), texel(at + ivec2(1, 1)), part.x), part.y);
    }
    ${isColour ? "vec3 shown = stored / 255.0;" : "vec3 shown = vec3(brightness(stored.r * rescale.x + rescale.y));"}
    if (invert) shown = 1.0 - shown;
    // Rounded here, as the reference renderer rounds, and not as the driver likes.
    colour = vec4(floor(shown * 255.0 + 0.5) / 255.0, 1.0);
}`;
}

/** Texture formats and the program for each kind of frame. */
const formats = /** @type {const} */ ({
    signed: { sampler: "isampler2D", internal: "R16I", format: "RED_INTEGER", type: "SHORT", isColour: false },
    unsigned: { sampler: "usampler2D", internal: "R16UI", format: "RED_INTEGER", type: "UNSIGNED_SHORT", isColour: false },
    rgb: { sampler: "usampler2D", internal: "RGB8UI", format: "RGB_INTEGER", type: "UNSIGNED_BYTE", isColour: true },
});

const uniformNames = /** @type {const} */ ([
    "size", "origin", "across", "down", "height", "nearest", "rescale", "voi", "voiFunction", "invert",
]);

/** @typedef {{ program: WebGLProgram, uniforms: Record<typeof uniformNames[number], WebGLUniformLocation | null> }} Program */

export class Renderer {
    /** @type {WebGL2RenderingContext} */
    #gl;
    /** @type {Partial<Record<Frame["kind"], Program>>} */
    #programs = {};
    /** @type {WebGLTexture | null} */
    #texture = null;
    /** @type {Frame | null} */
    #uploaded = null;
    #allocated = "";

    /**
     * @param {HTMLCanvasElement} canvas
     * @param {() => void} onRestored the context was lost and is back: draw again
     */
    constructor(canvas, onRestored) {
        const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, stencil: false, powerPreference: "high-performance" });
        if (!gl) throw new Error("This browser offers no WebGL 2; images cannot be shown.");
        this.canvas = canvas;
        this.#gl = gl;
        canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
        canvas.addEventListener("webglcontextrestored", () => {
            this.#programs = {};
            this.#texture = null;
            this.#uploaded = null;
            this.#allocated = "";
            onRestored();
        });
        /** @type {number} */
        this.largest = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    }

    /** @param {Frame["kind"]} kind @returns {Program} */
    #program(kind) {
        const known = this.#programs[kind];
        if (known) return known;
        const gl = this.#gl;
        const program = /** @type {WebGLProgram} */ (gl.createProgram());
        for (const [type, source] of /** @type {const} */ ([
            [gl.VERTEX_SHADER, vertexShader],
            [gl.FRAGMENT_SHADER, fragmentShader(formats[kind].sampler, formats[kind].isColour)],
        ])) {
            const shader = /** @type {WebGLShader} */ (gl.createShader(type));
            gl.shaderSource(shader, source);
            gl.compileShader(shader);
            gl.attachShader(program, shader);
        }
        gl.linkProgram(program);
        if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
            throw new Error(`shader: ${gl.getProgramInfoLog(program)}`);
        }
        const uniforms = /** @type {Program["uniforms"]} */ (
            Object.fromEntries(uniformNames.map((name) => [name, gl.getUniformLocation(program, name)]))
        );
        const made = { program, uniforms };
        this.#programs[kind] = made;
        return made;
    }

    /** @param {Frame} frame */
    #upload(frame) {
        if (frame === this.#uploaded) return;
        const gl = this.#gl;
        const { internal, format, type } = formats[frame.kind];
        const shape = `${internal} ${frame.columns}x${frame.rows}`;
        gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
        if (shape !== this.#allocated) {
            gl.deleteTexture(this.#texture);
            this.#texture = gl.createTexture();
            gl.bindTexture(gl.TEXTURE_2D, this.#texture);
            gl.texStorage2D(gl.TEXTURE_2D, 1, gl[internal], frame.columns, frame.rows);
            gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
            gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
            this.#allocated = shape;
        }
        gl.bindTexture(gl.TEXTURE_2D, this.#texture);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, frame.columns, frame.rows, gl[format], gl[type], frame.samples);
        this.#uploaded = frame;
    }

    clear() {
        const gl = this.#gl;
        gl.bindFramebuffer(gl.FRAMEBUFFER, null);
        gl.clearColor(0, 0, 0, 1);
        gl.clear(gl.COLOR_BUFFER_BIT);
    }

    /**
     * @param {Frame} frame @param {ImageInfo} image @param {View} view @param {Look} look
     */
    draw(frame, image, view, look) {
        const gl = this.#gl;
        gl.bindFramebuffer(gl.FRAMEBUFFER, null);
        const origin = view.toImage(0, 0);
        this.#paint(frame, image, look, {
            width: this.canvas.width, height: this.canvas.height, origin,
            across: view.toImageDirection(1, 0), down: view.toImageDirection(0, 1), nearest: false,
        });
    }

    /**
     * The grey (or RGB) values of every image pixel, drawn by the same program with the same window at image resolution.
     * @param {Frame} frame @param {ImageInfo} image @param {Look} look
     * @returns {Uint8Array} RGBA, from the top
     */
    imagePixels(frame, image, look) {
        const gl = this.#gl;
        const { columns: width, rows: height } = frame;
        const target = gl.createRenderbuffer();
        const buffer = gl.createFramebuffer();
        gl.bindRenderbuffer(gl.RENDERBUFFER, target);
        gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height);
        gl.bindFramebuffer(gl.FRAMEBUFFER, buffer);
        gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, target);
        this.#paint(frame, image, look, { width, height, origin: [0, 0], across: [1, 0], down: [0, 1], nearest: true });
        const pixels = this.#read(width, height);
        gl.bindFramebuffer(gl.FRAMEBUFFER, null);
        gl.deleteFramebuffer(buffer);
        gl.deleteRenderbuffer(target);
        return pixels;
    }

    /**
     * What is on the canvas; only right after `draw`, in the same task.
     * @returns {Uint8Array} RGBA, from the top
     */
    canvasPixels() {
        return this.#read(this.canvas.width, this.canvas.height);
    }

    /**
     * @param {Frame} frame @param {ImageInfo} image @param {Look} look
     * @param {{ width: number, height: number, origin: [number, number], across: [number, number], down: [number, number], nearest: boolean }} target
     */
    #paint(frame, image, look, target) {
        const gl = this.#gl;
        const { program, uniforms } = this.#program(frame.kind);
        this.#upload(frame);
        gl.viewport(0, 0, target.width, target.height);
        gl.useProgram(program);
        gl.uniform2i(uniforms.size, frame.columns, frame.rows);
        gl.uniform2f(uniforms.origin, ...target.origin);
        gl.uniform2f(uniforms.across, ...target.across);
        gl.uniform2f(uniforms.down, ...target.down);
        gl.uniform1f(uniforms.height, target.height);
        gl.uniform1i(uniforms.nearest, target.nearest ? 1 : 0);
        gl.uniform2f(uniforms.rescale, image.rescale?.slope ?? 1, image.rescale?.intercept ?? 0);
        const voi = look.voi ?? { center: 0, width: 1, function: "LINEAR_EXACT" };
        gl.uniform2f(uniforms.voi, voi.center, voi.width);
        gl.uniform1i(uniforms.voiFunction, ["LINEAR", "LINEAR_EXACT", "SIGMOID"].indexOf(voi.function));
        gl.uniform1i(uniforms.invert, look.invert !== (image.photometric === "MONOCHROME1") ? 1 : 0);
        gl.drawArrays(gl.TRIANGLES, 0, 3);
    }

    /** @param {number} width @param {number} height @returns {Uint8Array} */
    #read(width, height) {
        const gl = this.#gl;
        const pixels = new Uint8Array(4 * width * height);
        gl.pixelStorei(gl.PACK_ALIGNMENT, 1);
        gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        const flipped = new Uint8Array(pixels.length);
        for (let row = 0; row < height; row += 1) {
            flipped.set(pixels.subarray(4 * width * (height - 1 - row), 4 * width * (height - row)), 4 * width * row);
        }
        return flipped;
    }

    destroy() {
        this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
    }
}
