// Instances to what a page is told: studies with their series, and one series with its images in display order.

enum SeriesAssembly {
    static func studies(_ index: FolderIndex) -> [StudySummary] {
        var studies: [String: StudySummary] = [:]
        for uid in index.series.keys {
            let instances = index.instances(ofSeries: uid)
            guard let first = instances.first else { continue }
            studies[
                first.study,
                default: StudySummary(
                    study: first.study, description: first.studyDescription, date: first.studyDate,
                    patient: first.patient, series: [])
            ].series.append(summary(uid, instances, first))
        }
        return studies.values
            .map { study in
                var study = study
                study.series.sort { ($0.number ?? .max, $0.series) < ($1.number ?? .max, $1.series) }
                return study
            }
            // The newest first, as a reading list has it.
            .sorted { ($1.date, $0.study) < ($0.date, $1.study) }
    }

    private static func summary(_ uid: String, _ instances: [Instance], _ first: Instance) -> SeriesSummary {
        let reasons = instances.flatMap(\.images).compactMap(\.reason)
        let images = instances.reduce(0) { $0 + $1.images.count }
        var reason = reasons.first
        if let text = reason, reasons.count < images { reason = "\(reasons.count) of \(images) images: \(text)" }
        return SeriesSummary(
            series: uid, modality: first.modality, description: first.seriesDescription, number: first.seriesNumber,
            instances: instances.count, supported: reasons.count < images, reason: reason)
    }

    /// `automaticWindow` is for images that bring none.
    static func detail(_ uid: String, _ instances: [Instance], automaticWindow: (() -> Window)?) -> SeriesDetail? {
        guard let first = instances.first else { return nil }
        var images = ordered(instances)
        if images.contains(where: { $0.own.windows?.isEmpty == true }) {
            let window = automaticWindow?()
            for position in images.indices where images[position].own.windows?.isEmpty == true {
                images[position].own.windows = window.map { [$0] }
            }
        }
        return SeriesDetail(
            study: first.study, series: uid, modality: first.modality, description: first.seriesDescription,
            number: first.seriesNumber, frameOfReference: first.frameOfReference, shared: hoisted(&images),
            images: images)
    }

    /// By position along the normal where all planes are parallel, else by instance number; the frame decides ties.
    static func ordered(_ instances: [Instance]) -> [ImageEntry] {
        struct Sortable {
            let entry: ImageEntry
            let plane: ImagePlane?
            let key: (Int, String, Int)
        }
        let images = instances.flatMap { instance in
            instance.images.enumerated().map { frame, attributes in
                Sortable(
                    entry: ImageEntry(sop: instance.sop, frame: frame + 1, own: attributes),
                    plane: ImagePlane(position: attributes.position, orientation: attributes.orientation),
                    key: (instance.number ?? .max, instance.sop, frame))
            }
        }
        let planes = images.compactMap(\.plane)
        let isStack =
            planes.count == images.count && planes.allSatisfy { planes.first.map($0.isParallel(to:)) ?? false }
        return
            images.sorted { left, right in
                if isStack, let near = left.plane?.distance, let far = right.plane?.distance, abs(near - far) > 1e-3 {
                    return near < far
                }
                return left.key < right.key
            }
            .map(\.entry)
    }

    /// Takes out of the images what all of them have in common.
    private static func hoisted(_ images: inout [ImageEntry]) -> ImageAttributes {
        var shared = ImageAttributes()
        func hoist<Value: Equatable>(_ attribute: WritableKeyPath<ImageAttributes, Value?>) {
            guard let value = images.first?.own[keyPath: attribute],
                images.allSatisfy({ $0.own[keyPath: attribute] == value })
            else { return }
            shared[keyPath: attribute] = value
            for position in images.indices { images[position].own[keyPath: attribute] = nil }
        }
        hoist(\.columns)
        hoist(\.rows)
        hoist(\.photometric)
        hoist(\.bitsStored)
        hoist(\.signed)
        hoist(\.rescale)
        hoist(\.windows)
        hoist(\.pixelSpacing)
        hoist(\.pixelAspect)
        hoist(\.orientation)
        hoist(\.sliceThickness)
        hoist(\.frameTime)
        hoist(\.padding)
        hoist(\.notes)
        return shared
    }
}
