// An invented body of ellipsoids and cylinders in patient millimetres: x to the left, y to the back, z to the head.

/// What a scanner sees of a tissue: Hounsfield units (portal venous phase), and a T2-weighted signal.
struct Tissue {
    let hounsfield: Double
    let signal: Double

    static let air = Tissue(hounsfield: -1000, signal: 8)
    static let fat = Tissue(hounsfield: -105, signal: 620)
    static let muscle = Tissue(hounsfield: 58, signal: 170)
    static let lung = Tissue(hounsfield: -860, signal: 26)
    static let vessel = Tissue(hounsfield: 165, signal: 60)
    static let bronchus = Tissue(hounsfield: -970, signal: 12)
    static let heart = Tissue(hounsfield: 125, signal: 190)
    static let bone = Tissue(hounsfield: 420, signal: 45)
    static let marrow = Tissue(hounsfield: 210, signal: 330)
    static let disc = Tissue(hounsfield: 85, signal: 450)
    static let fluid = Tissue(hounsfield: 8, signal: 980)
    static let liver = Tissue(hounsfield: 112, signal: 215)
    static let lesion = Tissue(hounsfield: 58, signal: 520)
    static let lesionRim = Tissue(hounsfield: 138, signal: 400)
    static let spleen = Tissue(hounsfield: 124, signal: 330)
    static let cortex = Tissue(hounsfield: 192, signal: 380)
    static let medulla = Tissue(hounsfield: 142, signal: 470)
    static let bowel = Tissue(hounsfield: 42, signal: 420)
    static let table = Tissue(hounsfield: -180, signal: 0)
}

struct Shape {
    enum Form {
        case ellipsoid
        /// Elliptic, along z.
        case cylinder
    }

    let form: Form
    let center: SIMD3<Double>
    let radii: SIMD3<Double>
    let tissue: Tissue

    @inline(__always)
    func contains(_ point: SIMD3<Double>) -> Bool {
        let scaled = (point - center) / radii
        let squares = scaled * scaled
        switch form {
        case .ellipsoid: return squares.x + squares.y + squares.z <= 1
        case .cylinder: return squares.x + squares.y <= 1 && squares.z <= 1
        }
    }

    /// Whether any point of the box from `low` to `high` could be inside.
    func touches(_ low: SIMD3<Double>, _ high: SIMD3<Double>) -> Bool {
        let (mine, mineHigh) = (center - radii, center + radii)
        return all(mine .<= high) && all(low .<= mineHigh)
    }
}

/// The body; later shapes lie inside, and hide, earlier ones.
struct Anatomy {
    let shapes: [Shape]

    /// - Parameter lesionRadius: of the liver lesion, which shrinks under treatment from one study to the next.
    init(lesionRadius: Double) {
        var shapes: [Shape] = []
        func ellipsoid(
            _ x: Double, _ y: Double, _ z: Double, _ rx: Double, _ ry: Double, _ rz: Double, _ tissue: Tissue
        ) {
            shapes.append(
                Shape(form: .ellipsoid, center: [x, y, z], radii: [rx, ry, rz], tissue: tissue))
        }
        func cylinder(_ x: Double, _ y: Double, _ z: Double, _ rx: Double, _ ry: Double, _ rz: Double, _ tissue: Tissue)
        {
            shapes.append(Shape(form: .cylinder, center: [x, y, z], radii: [rx, ry, rz], tissue: tissue))
        }

        // Trunk: skin and fat around muscle.
        cylinder(0, 146, 180, 205, 9, 400, .table)
        cylinder(0, 6, 180, 172, 118, 400, .fat)
        cylinder(0, 6, 180, 157, 103, 400, .muscle)
        cylinder(0, -6, 70, 132, 76, 110, .fat)

        Self.chest(ellipsoid, cylinder)
        Self.ribs(ellipsoid)
        Self.spine(ellipsoid, cylinder)
        Self.abdomen(ellipsoid, lesionRadius: lesionRadius)
        Self.bowel(ellipsoid)
        self.shapes = shapes
    }

    private typealias Paint = (Double, Double, Double, Double, Double, Double, Tissue) -> Void

    private static func chest(_ ellipsoid: Paint, _ cylinder: Paint) {
        for side in [-1.0, 1.0] {
            ellipsoid(side * 74, 4, 250, 60, 86, 128, .lung)
            // Vessels run outwards from the hilum, thinner and thinner.
            for branch in 0..<7 {
                let angle = Double(branch) / 7 * 2 * .pi
                for step in 1...9 {
                    let reach = Double(step) * 5.6
                    ellipsoid(
                        side * (34 + reach * 0.85), 8 + sinApproximation(angle) * reach * 1.05,
                        258 + cosApproximation(angle) * reach * 1.5,
                        4.6 - Double(step) * 0.36, 4.6 - Double(step) * 0.36, 6.5, .vessel)
                }
            }
        }
        ellipsoid(6, 8, 265, 36, 60, 105, .fat)
        ellipsoid(24, -28, 222, 54, 46, 52, .heart)
        ellipsoid(14, -22, 226, 20, 17, 24, .vessel)
        ellipsoid(42, -32, 218, 17, 15, 26, .vessel)
        cylinder(0, 26, 330, 9, 9, 60, .bronchus)
        ellipsoid(-14, 24, 274, 12, 7, 10, .bronchus)
        ellipsoid(16, 24, 272, 13, 7, 10, .bronchus)
        cylinder(17, 50, 180, 12.5, 12.5, 400, .vessel)
        cylinder(-16, 34, 90, 12, 9, 90, Tissue(hounsfield: 148, signal: 60))
        cylinder(-12, -6, 310, 9, 9, 50, .vessel)
        // Breastbone.
        cylinder(0, -96, 265, 18, 6, 75, .bone)
        cylinder(0, -96, 265, 14, 3.4, 73, .marrow)
    }

    /// Ten pairs of beads on a slanting ellipse.
    private static func ribs(_ ellipsoid: Paint) {
        for rib in 0..<10 {
            let height = 128 + Double(rib) * 24
            for bead in 0...44 {
                let angle = Double(bead) / 44 * 2.45 + 0.25
                let x = 146 * sinApproximation(angle)
                let y = 8 + 94 * cosApproximation(angle)
                let z = height - 30 * (1 - cosApproximation(angle)) / 2 + 22
                for side in [-1.0, 1.0] { ellipsoid(side * x, y, z, 7, 6, 7, .bone) }
                for side in [-1.0, 1.0] { ellipsoid(side * x, y, z, 3.8, 3, 4, .marrow) }
            }
        }
    }

    private static func spine(_ ellipsoid: Paint, _ cylinder: Paint) {
        for vertebra in -2..<14 {
            let height = Double(vertebra) * 30
            cylinder(0, 70, height, 22, 17, 11.5, .bone)
            cylinder(0, 70, height, 19, 14, 9.5, .marrow)
            cylinder(0, 70, height + 15, 20, 15, 3.6, .disc)
            for side in [-1.0, 1.0] {
                ellipsoid(side * 30, 92, height, 21, 5.5, 6.5, .bone)
                ellipsoid(side * 14, 92, height, 6, 13, 9, .bone)
            }
            ellipsoid(0, 115, height - 6, 4.5, 15, 9, .bone)
        }
        cylinder(0, 93, 180, 10, 9, 400, .fluid)
        cylinder(0, 93, 230, 5.5, 4.5, 200, .muscle)
    }

    private static func abdomen(_ ellipsoid: Paint, lesionRadius: Double) {
        ellipsoid(-66, -4, 128, 82, 80, 62, .liver)
        ellipsoid(0, -38, 136, 62, 40, 34, .liver)
        for branch in 0..<6 {
            for step in 0..<8 {
                let reach = Double(step) * 8
                ellipsoid(
                    -34 - reach * 0.9, -6 + sinApproximation(Double(branch) * 1.05) * reach * 0.7,
                    126 + cosApproximation(Double(branch) * 1.05) * reach * 0.55, 4.4 - Double(step) * 0.4,
                    4.4 - Double(step) * 0.4, 4.4, .vessel)
            }
        }
        ellipsoid(-58, -52, 92, 15, 17, 24, .fluid)
        ellipsoid(-98, 4, 132, lesionRadius + 2.2, lesionRadius + 2.2, lesionRadius + 2.2, .lesionRim)
        ellipsoid(-98, 4, 132, lesionRadius, lesionRadius, lesionRadius, .lesion)
        ellipsoid(-74, 34, 112, 5, 5, 5, .fluid)

        ellipsoid(98, 36, 142, 34, 48, 46, .spleen)
        ellipsoid(62, -34, 134, 42, 36, 40, .muscle)
        ellipsoid(62, -34, 134, 38, 32, 36, Tissue(hounsfield: 18, signal: 820))
        ellipsoid(62, -52, 138, 30, 15, 27, .air)
        ellipsoid(18, 2, 104, 52, 10, 13, Tissue(hounsfield: 96, signal: 240))
        for side in [-1.0, 1.0] {
            ellipsoid(side * 66, 56, 66, 36, 34, 62, .fat)
            ellipsoid(side * 66, 56, 66, 29, 27, 54, .cortex)
            ellipsoid(side * 63, 55, 66, 18, 17, 41, .medulla)
            ellipsoid(side * 52, 54, 66, 13, 9, 22, .fluid)
        }
    }

    /// Loops of gut in deterministic disorder, some with gas at the front.
    private static func bowel(_ ellipsoid: Paint) {
        var random = Noise(seed: 0x5EED)
        for loop in 0..<46 {
            let x = random.unit() * 200 - 100
            let y = random.unit() * 74 - 66
            let z = random.unit() * 96 - 26
            let size = 11 + random.unit() * 9
            ellipsoid(x, y, z, size * 1.3, size, size * 1.2, .muscle)
            ellipsoid(x, y, z, size * 1.3 - 2.5, size - 2.5, size * 1.2 - 2.5, .bowel)
            if loop % 4 == 0 { ellipsoid(x, y - size * 0.45, z, size * 0.8, size * 0.38, size * 0.75, .air) }
        }
    }
}

/// SplitMix64: the same noise on every machine and in every year.
struct Noise {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    mutating func unit() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }
}

/// Libraries differ in the last digit of a sine; a phantom that is compared byte by byte must not.
func sinApproximation(_ angle: Double) -> Double {
    var reduced = angle
    while reduced > .pi { reduced -= 2 * .pi }
    while reduced < -.pi { reduced += 2 * .pi }
    let square = reduced * reduced
    var term = reduced
    var sum = reduced
    for power in 1...9 {
        term *= -square / Double(2 * power * (2 * power + 1))
        sum += term
    }
    return sum
}

func cosApproximation(_ angle: Double) -> Double { sinApproximation(angle + .pi / 2) }
