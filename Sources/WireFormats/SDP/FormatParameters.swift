// The parameters of one payload format (`a=fmtp`), in the order they were written.

package struct FormatParameters: Sendable, Hashable {
    package struct Parameter: Sendable, Hashable {
        package var name: String
        /// Nil for a bare word, as in `telephone-event`'s `0-15`.
        package var value: String?

        package init(name: String, value: String?) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var parameters: [Parameter]

    package init(_ parameters: [(String, String)] = []) {
        self.parameters = parameters.map { Parameter(name: $0.0, value: $0.1) }
    }

    /// Reads the part of an `a=fmtp` line after the payload type. Never fails: what is no pair is kept as a bare word.
    package init(parsing text: some StringProtocol) {
        parameters = text.split(separator: ";").compactMap { part in
            let part = part.trimmed
            guard !part.isEmpty else { return nil }
            guard let equals = part.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                return Parameter(name: String(part), value: nil)
            }
            let value = part[part.utf8.index(after: equals)...]
            return Parameter(name: String(part[..<equals].trimmed), value: String(value.trimmed))
        }
    }

    package var isEmpty: Bool { parameters.isEmpty }

    /// Names compare without case (RFC 8866: format specific, but every registered format says so).
    package subscript(name: String) -> String? {
        get { parameters.first { $0.name.equalsIgnoringCase(name) }?.value }
        set {
            if let index = parameters.firstIndex(where: { $0.name.equalsIgnoringCase(name) }) {
                if let newValue {
                    parameters[index].value = newValue
                } else {
                    parameters.remove(at: index)
                }
            } else if let newValue {
                parameters.append(Parameter(name: name, value: newValue))
            }
        }
    }
}

extension FormatParameters: CustomStringConvertible {
    package var description: String {
        parameters.map { parameter in
            parameter.value.map { "\(parameter.name)=\($0)" } ?? parameter.name
        }.joined(separator: ";")
    }
}
