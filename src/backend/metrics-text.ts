/**
 * The text in which servers tell their figures to Prometheus, as far as a few of them are looked for.
 */

/** One figure of a text. */
export interface Sample {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*\r?$/
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

const plain = (text: string): string =>
  text.includes("\\") ? text.replaceAll(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)) : text

const labelsIn = (text: string | undefined): ReadonlyMap<string, string> =>
  new Map([...(text ?? "").matchAll(label)].map(([, name = "", value = ""]) => [name, plain(value)]))

/** The figures of these names; what is no such line is passed over. */
export const samplesIn = (text: string, names: ReadonlySet<string>): ReadonlyArray<Sample> => {
  const found: Array<Sample> = []
  for (let at = 0; at < text.length;) {
    const next = text.indexOf("\n", at)
    const end = next < 0 ? text.length : next
    const open = /[{ \t]/.exec(text.slice(at, Math.min(end, at + longestName)))
    if (open !== null && names.has(text.slice(at, at + open.index))) {
      const [, name = "", labels, value] = line.exec(text.slice(at, end)) ?? []
      if (name !== "") found.push({ name, labels: labelsIn(labels), value: Number(value) })
    }
    at = end + 1
  }
  return found
}

const longestName = 100

/** A label that is a whole number; undefined when it is not there or is anything else. */
export const wholeLabel = ({ labels }: Sample, name: string): number | undefined => {
  const text = labels.get(name)
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
