// `consilium doctor`: looks at everything a start needs and says in words what is well and what is not.
import ArgumentParser
import Foundation
import Gateway
import Imaging
import WebClient

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check ports, addresses, certificates, folders, disk and libraries.",
        discussion: "Exits 1 when something would keep the server from starting or from working.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let configuration = try options.read()
        var report = Report()
        report.well("the configuration has no faults")
        checkSecrets(configuration, &report)
        checkTLS(configuration, &report)
        checkPorts(configuration, &report)
        checkAddresses(configuration, &report)
        checkFolders(configuration, &report)
        await checkImages(configuration, &report)
        checkLibraries(&report)
        print(report.text)
        if report.hasFaults { throw ExitCode(1) }
    }

    private struct Report {
        private var lines: [String] = []
        private(set) var hasFaults = false

        mutating func well(_ text: String) { lines.append("  ok      \(text)") }
        mutating func note(_ text: String) { lines.append("  note    \(text)") }
        mutating func fault(_ text: String) {
            lines.append("  FAULT   \(text)")
            hasFaults = true
        }
        var text: String { lines.joined(separator: "\n") }
    }

    private func checkSecrets(_ configuration: Configuration, _ report: inout Report) {
        let path = configuration.access.secretFile
        guard SecretFile.exists(path) else { return report.note("\(path) is not there yet; the first start makes it") }
        do throws(SecretFile.Fault) {
            _ = try SecretFile.tokenSecret(path)
            report.well("the token secret \(path) is private")
        } catch {
            report.fault(error.description)
        }
    }

    private func checkTLS(_ configuration: Configuration, _ report: inout Report) {
        guard let files = configuration.tlsFiles() else {
            return report.note("TLS is off: pages are served to this machine only")
        }
        guard configuration.server.tls == .files || SecretFile.exists(files.certificate) else {
            return report.note("\(files.certificate) is not there yet; the first start makes it")
        }
        do throws(ServerCertificate.Fault) {
            let summary = try ServerCertificate.inspect(certificate: files.certificate, privateKey: files.privateKey)
            if !summary.fitsKey {
                report.fault("\(files.certificate) does not belong to the key \(files.privateKey)")
            } else if summary.daysLeft < 0 {
                report.fault("\(files.certificate) has expired; replace it")
            } else if summary.daysLeft < 21 {
                report.note("\(files.certificate) expires in \(summary.daysLeft) days; replace it soon")
            } else {
                report.well("the certificate \(files.certificate) is good for \(summary.daysLeft) days")
            }
        } catch {
            report.fault(error.description)
        }
    }

    private func checkPorts(_ configuration: Configuration, _ report: inout Report) {
        var ports: [(PortProbe.Transport, String, Int, String)] = [
            (.tcp, configuration.server.address, configuration.server.port, "server.port")
        ]
        // A port for each worker.
        let media = configuration.media
        for port in media.udpPorts { ports.append((.udp, media.address, port, "media.udpPort")) }
        if media.tcpPort != 0 {
            for port in media.tcpPorts { ports.append((.tcp, media.address, port, "media.tcpPort")) }
        }
        let cores = ProcessInfo.processInfo.activeProcessorCount
        if media.workerCount > cores {
            report.note("media.workers: \(media.workerCount) threads for media share \(cores) cores; fewer do the same")
        } else {
            report.well("media is carried by \(media.workerCount) of \(cores) cores")
        }
        for (transport, address, port, name) in ports {
            if let reason = PortProbe.fault(transport, address: address, port: port) {
                report.fault("\(name): \(transport.rawValue) port \(port) on \(address): \(reason)")
            } else {
                report.well("\(name): \(transport.rawValue) port \(port) on \(address) is free")
            }
        }
    }

    private func checkAddresses(_ configuration: Configuration, _ report: inout Report) {
        let addresses = HostAddresses.all()
        report.well("this host has the addresses \(addresses.joined(separator: ", "))")
        for announced in configuration.media.announcedAddresses where !addresses.contains(announced) {
            report.note("media.announcedAddresses: \(announced) is not this host's; a router must forward media to it")
        }
    }

    private func checkFolders(_ configuration: Configuration, _ report: inout Report) {
        let folder = configuration.recordingsFolder
        var isFolder: ObjCBool = false
        let manager = FileManager.default
        if !manager.fileExists(atPath: folder, isDirectory: &isFolder) {
            report.note("\(folder) is not there yet; the first start makes it")
        } else if !isFolder.boolValue || !manager.isWritableFile(atPath: folder) {
            report.fault("recordings.folder: \(folder) is not a folder that this user may write")
        } else {
            report.well("recordings go to \(folder)")
        }
        let place = isFolder.boolValue ? folder : "."
        if let attributes = try? manager.attributesOfFileSystem(forPath: place),
            let free = (attributes[.systemFreeSize] as? NSNumber)?.int64Value
        {
            // An hour of ten people in HD takes about 10 GB.
            let gigabytes = free / 1_000_000_000
            if gigabytes < 1 {
                report.fault("only \(gigabytes) GB are free for recordings")
            } else if gigabytes < 20 {
                report.note(
                    "\(gigabytes) GB are free for recordings: about \(max(1, gigabytes / 10)) hours of a large room")
            } else {
                report.well("\(gigabytes) GB are free for recordings")
            }
        }
        let pages = WebClient.pagesDirectory
        if manager.fileExists(atPath: pages + "/index.html") {
            report.well("the pages are in \(pages)")
        } else {
            report.fault("the pages are not in \(pages); install them beside the program")
        }
    }

    private func checkImages(_ configuration: Configuration, _ report: inout Report) async {
        guard !configuration.imagingFolder.isEmpty else {
            return report.note("imaging.folder is empty: there are no images")
        }
        let library = ImagingLibrary(folder: configuration.imagingFolder)
        let counts = await library.counts()
        report.well(
            "\(configuration.imagingFolder) has \(counts.studies) studies, \(counts.series) series, \(counts.instances) images"
        )
        if counts.refused > 0 { report.note("\(counts.refused) files in it are no DICOM files or cut off") }
    }

    private func checkLibraries(_ report: inout Report) {
        for (name, version) in LibraryVersions.all() { report.well("\(name) \(version)") }
        if !LibraryVersions.hasEventLoopPlugin {
            report.fault("the plugin libwebsockets-evlib_uv.so is missing; run: apt-get install libwebsockets-evlib-uv")
        }
    }
}
