/**
 * The text of /metrics taken apart.
 */
import { ask } from "./rawClient.ts"

/** One line of the text that is a figure. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y

const unescaped = (text: string): string => text.replace(/\\(["\\n])/g, (_, char) => (char === "n" ? "\n" : char))

const labelsOf = (text: string): Readonly<Record<string, string>> => {
  const labels: Record<string, string> = {}
  label.lastIndex = 0
  while (label.lastIndex < text.length) {
    const from = label.lastIndex
    const [, name, value] = label.exec(text) ?? []
    if (name === undefined || value === undefined) throw new Error(`no label at ${text.slice(from)}`)
    labels[name] = unescaped(value)
  }
  return labels
}

/** All figures of a text; throws at a line that is none and no comment. */
export const samplesOf = (text: string): ReadonlyArray<Sample> =>
  text
    .split("\n")
    .filter((line) => line !== "" && !/^# (HELP|TYPE) /.test(line))
    .map((line) => {
      const [, name, labels = "", value] = sampleLine.exec(line) ?? []
      if (name === undefined || Number.isNaN(Number(value))) throw new Error(`no figure: ${line}`)
      return { name, labels: labelsOf(labels), value: Number(value) }
    })

/** The sum of the figures of this name that have these labels. */
export const total = (
  samples: ReadonlyArray<Sample>,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number =>
  samples
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0)

/** What a gateway tells now. */
export const scrape = async (port: number): Promise<ReadonlyArray<Sample>> =>
  samplesOf((await ask(port, "GET", "/metrics")).text)
