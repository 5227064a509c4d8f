// Where an image lies in the patient (PS3.3 C.7.6.2): enough to order slices; the page does the rest.

struct ImagePlane {
    let position: [Double]
    let normal: [Double]

    /// nil when the file's geometry is missing or no pair of perpendicular unit vectors.
    init?(position: [Double]?, orientation: [Double]?) {
        guard let position, let orientation, position.count == 3, orientation.count == 6 else { return nil }
        let row = Array(orientation[0..<3])
        let column = Array(orientation[3..<6])
        guard abs(Self.dot(row, row) - 1) < 0.01, abs(Self.dot(column, column) - 1) < 0.01,
            abs(Self.dot(row, column)) < 0.01
        else { return nil }
        self.position = position
        normal = [
            row[1] * column[2] - row[2] * column[1],
            row[2] * column[0] - row[0] * column[2],
            row[0] * column[1] - row[1] * column[0],
        ]
    }

    /// Millimetres along the normal: the only honest slice order (never slice thickness or spacing between slices).
    var distance: Double { Self.dot(position, normal) }

    func isParallel(to other: ImagePlane) -> Bool { Self.dot(normal, other.normal) > 0.999 }

    private static func dot(_ left: [Double], _ right: [Double]) -> Double {
        left[0] * right[0] + left[1] * right[1] + left[2] * right[2]
    }
}
