import { expect, test } from "bun:test"
import { startGateway } from "../kit/gateway.ts"

for (const host of ["::1", "[::1]"]) {
  test(`a gateway on ${host} tells the address it answers at`, async () => {
    await using gateway = await startGateway({ server: { host } })
    expect(gateway.url).toBe(`http://[::1]:${gateway.port}`)
    expect((await fetch(`${gateway.url}/livez`)).status).toBe(200)
  })
}

test("a host that is no address is refused in words", async () => {
  const started = startGateway({ server: { host: "no host", insecure: true } })
  await expect(started).rejects.toMatchObject({
    _tag: "ListenFailed",
    hostname: "no host",
    reason: expect.stringMatching(/^the address cannot be used \(E[A-Z]+\)$/)
  })
})
