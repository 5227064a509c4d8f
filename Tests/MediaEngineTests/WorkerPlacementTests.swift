// Where rooms and their viewers go, as values; and how the directory keeps what was decided.
import Testing

@testable import MediaEngine

@Suite("Placement of rooms on workers")
struct WorkerPlacementTests {
    private let placement = WorkerPlacement()

    @Test("a room goes to the worker with the least load")
    func leastLoad() {
        #expect(placement.room([WorkerBurden(load: 0.6), WorkerBurden(load: 0.2), WorkerBurden(load: 0.4)]) == 1)
    }

    @Test("idle workers take turns")
    func turns() {
        var burdens = [WorkerBurden](repeating: WorkerBurden(), count: 3)
        var order: [Int] = []
        for _ in 0..<6 {
            let worker = placement.room(burdens)
            order.append(worker)
            burdens[worker].rooms += 1
        }
        #expect(order == [0, 1, 2, 0, 1, 2])
    }

    @Test("streams that the load does not show yet count as well")
    func freshStreams() {
        let burdens = [WorkerBurden(load: 0.1, freshStreams: 100), WorkerBurden(load: 0.2)]
        #expect(placement.room(burdens) == 1)
    }

    @Test("a viewer stays with the room as long as its worker has room for it")
    func staysAtHome() {
        let burdens = [WorkerBurden(load: 0.5), WorkerBurden(load: 0)]
        #expect(placement.viewer(home: 0, parts: [0: 249], burdens) == 0)
    }

    @Test("viewers beyond what one worker should hold go to the least loaded other one, and then join those there")
    func spans() {
        var burdens = [WorkerBurden(load: 0.5), WorkerBurden(load: 0.3), WorkerBurden(load: 0.2)]
        #expect(placement.viewer(home: 0, parts: [0: 250], burdens) == 2)
        burdens[2].load = 0.4
        #expect(placement.viewer(home: 0, parts: [0: 250, 2: 1], burdens) == 2)
    }

    @Test("a loaded worker sends viewers elsewhere only where they are clearly better off")
    func byLoad() {
        #expect(placement.viewer(home: 0, parts: [0: 10], [WorkerBurden(load: 0.8), WorkerBurden(load: 0.3)]) == 1)
        #expect(placement.viewer(home: 0, parts: [0: 10], [WorkerBurden(load: 0.8), WorkerBurden(load: 0.7)]) == 0)
    }

    @Test("when all are full the least loaded part takes the viewer")
    func allFull() {
        let burdens = [WorkerBurden(load: 0.9), WorkerBurden(load: 0.8)]
        #expect(placement.viewer(home: 0, parts: [0: 300, 1: 260], burdens) == 1)
    }

    @Test("with one worker there is nothing to decide")
    func alone() {
        #expect(placement.room([WorkerBurden(load: 1)]) == 0)
        #expect(placement.viewer(home: 0, parts: [0: 1000], [WorkerBurden(load: 1)]) == 0)
    }
}

@Suite("The directory of rooms")
struct RoomDirectoryTests {
    private let gauges = [WorkerGauge(), WorkerGauge()]
    private let directory: RoomDirectory

    init() {
        var placement = WorkerPlacement()
        placement.peersPerPart = 1
        directory = RoomDirectory(gauges: gauges, placement: placement)
    }

    @Test("a room that nobody opened is forgotten with its last call")
    func forgotten() {
        #expect(directory.enter("r", peer: "a", isViewer: false) == 0)
        #expect(directory.roomCount == 1)
        directory.leave("r", peer: "a", worker: 0)
        #expect(directory.roomCount == 0)
    }

    @Test("a room that is closed while a call for it is under way stays where it is")
    func closedMeanwhile() {
        #expect(directory.enter("r", peer: "a", isViewer: false) == 0)
        directory.opened("r", worker: 0)
        directory.joined("r", peer: "a", worker: 0)
        directory.leave("r", peer: "a", worker: 0)
        #expect(directory.enter("r", peer: "b", isViewer: false) == 0)
        directory.left("r", peer: "a", worker: 0)
        directory.closed("r", worker: 0)
        // Worker 1 bears no less by now, but the second call has been sent to the first one.
        #expect(directory.enter("r", peer: "c", isViewer: false) == 0)
    }

    @Test("a peer stays on its worker, whatever it offers later")
    func peersStay() {
        #expect(directory.enter("r", peer: "a", isViewer: false) == 0)
        directory.opened("r", worker: 0)
        directory.joined("r", peer: "a", worker: 0)
        directory.leave("r", peer: "a", worker: 0)
        #expect(directory.enter("r", peer: "v", isViewer: true) == 1)
        // Even before the first answer.
        #expect(directory.enter("r", peer: "v", isViewer: false) == 1)
        directory.opened("r", worker: 1)
        directory.joined("r", peer: "v", worker: 1)
        #expect(directory.worker(of: "v", in: "r") == 1)
        #expect(directory.worker(of: "a", in: "r") == 0)
        #expect(directory.parts(of: "r") == [0, 1])
    }

    @Test("a stranger is looked for at the room's home, and in a room that is not there nowhere")
    func strangers() {
        #expect(directory.worker(of: "x", in: "r") == nil)
        directory.opened("r", worker: 1)
        #expect(directory.worker(of: "x", in: "r") == 1)
    }
}
