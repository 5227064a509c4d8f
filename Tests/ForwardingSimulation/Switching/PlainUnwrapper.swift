// Wrapping numbers on a line, as a receiver puts them there that takes the nearest one to be meant.

package struct PlainUnwrapper {
    private var highest: Int?

    package init() {}

    package mutating func position(of number: UInt16, bits: Int) -> Int {
        guard let highest else {
            self.highest = (1 << 24) + Int(number)
            return (1 << 24) + Int(number)
        }
        let span = 1 << bits
        var step = (Int(number) - highest) & (span - 1)
        if step > span / 2 { step -= span }
        self.highest = max(highest, highest + step)
        return highest + step
    }
}
