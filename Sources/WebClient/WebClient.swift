// Where the pages are on this machine. The pages themselves are plain files under pages/, served as they are.

import Foundation

package enum WebClient {
    /// The folder that holds the pages: beside the executable when installed, in the build products otherwise.
    package static var pagesDirectory: String { Bundle.module.resourcePath.map { $0 + "/pages" } ?? "pages" }
}
