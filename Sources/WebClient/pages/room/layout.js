// Where each tile goes: rectangles for a stage, a strip and a grid in a given area. Pure geometry in CSS pixels.

/** @typedef {import("./scene.js").Tile} Tile */
/** @typedef {{ left: number, top: number, width: number, height: number, small: boolean }} Place */
/** @typedef {{ left: number, top: number, width: number, height: number }} Area */
/** @typedef {{ left: number, top: number, columns: number, rows: number, tileWidth: number, tileHeight: number }} Strip */
/** @typedef {{ places: Map<string, Place>, more: { count: number, place: Place } | null }} Arrangement */

const cameraShape = 16 / 9;
const smallestTile = 132;

/**
 * @param {{ stage: Tile[], strip: Tile[] }} scene
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @param {number} [smallBelow] width under which a tile shows only the most needed
 * @returns {Arrangement}
 */
export function arrange(scene, width, height, gap, smallBelow = 260) {
    /** @type {Map<string, Place>} */
    const places = new Map();
    if (width <= 0 || height <= 0) return { places, more: null };
    const area = { left: 0, top: 0, width, height };
    if (scene.strip.length === 0) {
        const more = grid(scene.stage, area, gap, smallBelow, places);
        return { places, more };
    }
    const { stageArea, strip } = divide(width, height, gap, scene.strip.length);
    grid(scene.stage, stageArea, gap, smallBelow, places);
    const more = fillStrip(scene.strip, strip, gap, smallBelow, places);
    return { places, more };
}

/**
 * The strip goes where it takes least from a 16:9 stage: beside it on a wide area, below it otherwise.
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @param {number} count
 * @returns {{ stageArea: Area, strip: Strip }}
 */
function divide(width, height, gap, count) {
    if (height > width * 1.15) return divideUpright(width, height, gap, count);
    const beside = Math.round(Math.min(Math.max(width * 0.16, 150), 460));
    const below = Math.round(Math.min(Math.max(height * 0.18, 74), 300));
    const stageBeside = fitted(width - beside - gap, height);
    const stageBelow = fitted(width, height - below - gap);
    const besideTile = beside / cameraShape;
    const rows = Math.max(1, Math.floor((height + gap) / (besideTile + gap)));
    if (stageBeside >= stageBelow * 0.92 && count <= Math.max(3, rows)) {
        return {
            stageArea: { left: 0, top: 0, width: width - beside - gap, height },
            strip: { left: width - beside, top: 0, columns: 1, rows, tileWidth: beside, tileHeight: besideTile },
        };
    }
    const tileWidth = below * cameraShape;
    const columns = Math.max(1, Math.floor((width + gap) / (tileWidth + gap)));
    const used = Math.min(columns, count) * (tileWidth + gap) - gap;
    return {
        stageArea: { left: 0, top: 0, width, height: height - below - gap },
        strip: { left: (width - used) / 2, top: height - below, columns, rows: 1, tileWidth, tileHeight: below },
    };
}

/**
 * A telephone held upright: a 16:9 stage leaves room for several rows of small pictures.
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @param {number} count
 * @returns {{ stageArea: Area, strip: Strip }}
 */
function divideUpright(width, height, gap, count) {
    const columns = Math.min(count, width < 560 ? 3 : 4);
    const tileWidth = Math.min((width - gap * (columns - 1)) / columns, width * 0.48);
    const tileHeight = tileWidth / cameraShape;
    const allowed = Math.max(1, Math.floor((height * 0.42) / (tileHeight + gap)));
    const rows = Math.min(Math.ceil(count / columns), allowed);
    const stripHeight = rows * (tileHeight + gap) - gap;
    const used = columns * (tileWidth + gap) - gap;
    return {
        stageArea: { left: 0, top: 0, width, height: height - stripHeight - gap },
        strip: { left: (width - used) / 2, top: height - stripHeight, columns, rows, tileWidth, tileHeight },
    };
}

/**
 * @param {number} width
 * @param {number} height
 */
function fitted(width, height) {
    const used = Math.min(width, height * cameraShape);
    return used * (used / cameraShape);
}

/**
 * @param {Tile[]} tiles
 * @param {Strip} area
 * @param {number} gap
 * @param {number} smallBelow
 * @param {Map<string, Place>} places
 */
function fillStrip(tiles, area, gap, smallBelow, places) {
    const { columns, rows, tileWidth, tileHeight } = area;
    const fits = columns * rows;
    const overflow = tiles.length > fits;
    // One place is kept for "and n more".
    const shown = overflow ? fits - 1 : tiles.length;
    const at = (/** @type {number} */ index) => ({
        left: area.left + (index % columns) * (tileWidth + gap),
        top: area.top + Math.floor(index / columns) * (tileHeight + gap),
        width: tileWidth,
        height: tileHeight,
        small: tileWidth < smallBelow,
    });
    const ranked = overflow ? [...tiles].sort((a, b) => b.weight - a.weight) : tiles;
    ranked.slice(0, shown).forEach((tile, index) => {
        // Nobody works on an image in the strip, however large.
        places.set(tile.key, tile.kind === "viewport" ? { ...at(index), small: true } : at(index));
    });
    return overflow ? { count: tiles.length - shown, place: at(shown) } : null;
}

/**
 * The number of columns that makes the pictures largest.
 * @param {Tile[]} tiles
 * @param {Area} area
 * @param {number} gap
 * @param {number} smallBelow
 * @param {Map<string, Place>} places
 */
function grid(tiles, area, gap, smallBelow, places) {
    if (tiles.length === 0) return null;
    if (tiles.length === 1) {
        places.set(tiles[0].key, { ...area, small: area.width < smallBelow });
        return null;
    }
    const room = Math.max(1, Math.floor((area.width + gap) / (smallestTile + gap))) *
        Math.max(1, Math.floor((area.height + gap) / (smallestTile / cameraShape + gap)));
    const overflow = tiles.length > room;
    const cells = Math.min(tiles.length, room);
    let best = { columns: 1, rows: cells, picture: -1 };
    for (let columns = 1; columns <= cells; columns += 1) {
        const rows = Math.ceil(cells / columns);
        const cellWidth = (area.width - gap * (columns - 1)) / columns;
        const cellHeight = (area.height - gap * (rows - 1)) / rows;
        const picture = Math.min(cellWidth, cellHeight * cameraShape);
        if (picture > best.picture + 0.5) best = { columns, rows, picture };
    }
    const { columns, rows } = best;
    const cellHeight = (area.height - gap * (rows - 1)) / rows;
    let cellWidth = (area.width - gap * (columns - 1)) / columns;
    // Faces are not stretched over a bar; documents use all the room they get.
    if (!tiles.some((tile) => tile.whole)) cellWidth = Math.min(cellWidth, cellHeight * 2);
    const at = (/** @type {number} */ index) => {
        const row = Math.floor(index / columns);
        const inRow = row === rows - 1 ? cells - row * columns : columns;
        const rowWidth = inRow * cellWidth + (inRow - 1) * gap;
        return {
            left: area.left + (area.width - rowWidth) / 2 + (index % columns) * (cellWidth + gap),
            top: area.top + row * (cellHeight + gap),
            width: cellWidth,
            height: cellHeight,
            small: cellWidth < smallBelow,
        };
    };
    const shown = overflow ? cells - 1 : cells;
    tiles.slice(0, shown).forEach((tile, index) => places.set(tile.key, at(index)));
    return overflow ? { count: tiles.length - shown, place: at(shown) } : null;
}
