import { expect, test } from "bun:test"
import fc from "fast-check"
import { socketInode, readUnacked, unackedIn } from "../../src/wire/tcp-acks.ts"

const title =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"

const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, "0")

const row = (at: number, unacknowledged: number, timer: number, tries: number, inode: number) =>
  `${String(at).padStart(4)}: 01004D0A:B376 02004D0A:1F90 01 ${hex(unacknowledged)}:00000000 0${timer}:0000001F ${hex(tries)}     0        0 ${inode} 2 00000000ce3aa058 40 4 30 10 -1                    \n`

const sockets = fc.uniqueArray(
  fc.record({
    inode: fc.integer({ min: 1, max: 9_999_999 }),
    unacknowledged: fc.oneof(fc.constant(0), fc.nat(0xffffffff)),
    timer: fc.integer({ min: 0, max: 4 }),
    tries: fc.nat(20)
  }),
  { selector: ({ inode }) => inode, maxLength: 30 }
)

test("each socket that has sent what is not acknowledged is found by its inode, and no other", () =>
  fc.assert(
    fc.property(sockets, (all) => {
      const rows = all.map(({ inode, timer, tries, unacknowledged }, at) =>
        row(at, unacknowledged, timer, tries, inode)
      )
      const waiting = all.filter(({ unacknowledged }) => unacknowledged > 0)
      expect([...unackedIn(title + rows.join(""))]).toEqual(
        waiting.map(({ inode, timer, tries, unacknowledged }) => [
          String(inode),
          { unacknowledged, tries: timer === 1 ? tries : 0 }
        ])
      )
    })
  ))

test.if(process.platform === "linux")(
  "the system tells of a request that its other side has taken that it arrived",
  async () => {
    using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } })
    const socket = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data: () => undefined } })
    const inode = socketInode("fd" in socket && typeof socket.fd === "number" ? socket.fd : -1)
    socket.write("x".repeat(1000))
    expect(inode).toMatch(/^\d+$/)
    const read = await readUnacked()
    expect(read?.(inode ?? "")).toEqual({ unacknowledged: 0, tries: 0 })
    expect(socketInode(1_000_000)).toBeUndefined()
    socket.end()
  }
)
