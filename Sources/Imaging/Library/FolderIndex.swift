// Everything known about one folder at one moment: a value, made from the one before by looking only at what changed.

/// A file that is not in the index. Paths may carry a patient's name: for the operator's own eyes, never for a log.
package struct RefusedFile: Sendable, Equatable {
    package let path: String
    package let reason: String
}

struct FolderIndex: Sendable {
    private enum Entry: Sendable {
        case instance(Instance)
        case refused(String)
    }

    private var files: [String: (stamp: FileStamp, entry: Entry)] = [:]
    private(set) var instances: [String: Instance] = [:]
    /// SOP instance UIDs of a series, in path order.
    private(set) var series: [String: [String]] = [:]
    /// Files whose SOP instance another file has brought already.
    private(set) var duplicates = 0
    /// Grows whenever something in the folder has changed.
    private(set) var generation = 0

    var refused: [RefusedFile] {
        files.compactMap { path, file in
            if case .refused(let reason) = file.entry { RefusedFile(path: path, reason: reason) } else { nil }
        }
        .sorted { $0.path < $1.path }
    }

    /// Looks through the folder; unchanged files are not opened again.
    func updated(folder: String, configuration: ImagingConfiguration) -> FolderIndex {
        let paths = Files.list(
            folder, maximumFiles: configuration.maximumFiles, maximumDepth: configuration.maximumFolderDepth)
        var next = FolderIndex()
        var hasChanged = paths.count != files.count
        for path in paths {
            guard let stamp = Files.stamp(folder + "/" + path) else { continue }
            if let known = files[path], known.stamp == stamp {
                next.files[path] = known
            } else {
                next.files[path] = (stamp, Self.entry(folder: folder, path: path, stamp: stamp))
                hasChanged = true
            }
        }
        guard hasChanged || next.files.count != files.count else { return self }
        next.generation = generation + 1
        next.group(in: paths)
        return next
    }

    private static func entry(folder: String, path: String, stamp: FileStamp) -> Entry {
        do {
            guard let header = try Files.header(folder + "/" + path, stamp: stamp, limits: DICOMLimits()) else {
                return .refused("cannot be read")
            }
            return .instance(try Instance(path: path, stamp: stamp, header: header))
        } catch {
            return .refused(error.description)
        }
    }

    /// The first file of a SOP instance, in path order, is the one that counts.
    private mutating func group(in paths: [String]) {
        for path in paths {
            guard case .instance(let instance)? = files[path]?.entry else { continue }
            guard instances[instance.sop] == nil else {
                duplicates += 1
                continue
            }
            instances[instance.sop] = instance
            series[instance.series, default: []].append(instance.sop)
        }
    }

    func instances(ofSeries uid: String) -> [Instance] {
        (series[uid] ?? []).compactMap { instances[$0] }
    }
}
