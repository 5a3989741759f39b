import { afterAll, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { makeShell } from "../kit/shell.ts"
import { good as certificate, terminate } from "../kit/tls.ts"

const shell = makeShell()
const { nexus } = shell
afterAll(() => shell.close())

test("backends add of a server whose certificate nobody vouches for says so, and takes it when it is told to", async () => {
  const { port } = await shell.serving()
  const add = (...more: ReadonlyArray<string>) =>
    nexus("backends", "add", tls.url, "--name", "tls", "-p", port, ...more)
  await using upstream = await startUpstream({ models: ["m4"] })
  await using tls = await terminate(upstream.port, certificate)
  expect((await add()).stderr).toContain("its certificate is self-signed (ca_file")
  expect((await add("--insecure-skip-verify")).stdout).toStartWith("Added tls (generic, healthy, 1 model)")
})
