/**
 * A real llama-server with a model that does the task of the agents.
 */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { until } from "../kit/gateway.ts"
import { freePort } from "../kit/sharedStore.ts"
import { copyingModel } from "./copying-model.ts"

/** A llama-server that runs. */
export interface Llama extends Disposable {
  readonly url: string
}

/** Starts a llama-server, which serves the model by this name, with its files in a folder; fails where it ends or is not ready in a minute. */
export const startLlama = async (
  program: string,
  { folder, model, paths }: { readonly folder: string; readonly model: string; readonly paths: ReadonlyArray<string> }
): Promise<Llama> => {
  const file = join(folder, "copying.gguf")
  writeFileSync(file, copyingModel(paths))
  const port = await freePort()
  const url = `http://127.0.0.1:${String(port)}`
  const args = [
    "-m",
    file,
    "-a",
    model,
    "--host",
    "127.0.0.1",
    "--port",
    String(port),
    "--jinja",
    "-np",
    "2",
    "-c",
    "65536",
    "-t",
    "1"
  ]
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] })
  const end = () => void child.kill("SIGKILL")
  process.once("exit", end)
  let log = ""
  let ended = false
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-4000)
  })
  child.on("error", (error) => {
    log += String(error)
    ended = true
  })
  child.on("exit", () => {
    ended = true
  })
  const ready = (): Promise<boolean> =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false
    )
  await until(async () => ended || (await ready()), `${program} is ready`, 60_000)
  if (ended) throw new Error(`${program} ended: ${log}`)
  return { url, [Symbol.dispose]: end }
}
