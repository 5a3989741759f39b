/**
 * Headers as lines of HTTP/1.1: none can bring in a line of its own, and how lines begin is remembered of the names in use.
 */

const goodName = /^[!#$%&'*+\-.^`|~\w]+$/
const badValue = /[^\t\x20-\x7e\x80-\xff]/

/** Whether a header can have this name. */
export const isLineName = (name: string): boolean => goodName.test(name)

/** Whether a value can stand in a line. */
export const isLineValue = (value: string): boolean => !badValue.test(value)

/** Names that are remembered at most, and the longest of them: some names are whatever a client makes up. */
export const mostLineNames = { names: 1000, length: 64 } as const

/** How the lines of headers begin. */
export class LineBegins {
  private readonly ours: ReadonlySet<string>
  private readonly known: Map<string, string>

  /** `ours` are names, in lower case, of which no line is made of what is given; `known` is where names are remembered. */
  constructor(ours: ReadonlySet<string>, known = new Map<string, string>()) {
    this.ours = ours
    this.known = known
  }

  /** The name and what parts it from its value; empty for one of ours, undefined for what is no name. */
  of(name: string): string | undefined {
    return this.known.get(name) ?? this.made(name)
  }

  private made(name: string): string | undefined {
    if (!isLineName(name)) return undefined
    const begin = this.ours.has(name.toLowerCase()) ? "" : `${name}: `
    if (name.length > mostLineNames.length) return begin
    // Whoever fills it with names that nobody else has takes no place from those in use: they are back with the next request.
    if (this.known.size >= mostLineNames.names) this.known.clear()
    this.known.set(name, begin)
    return begin
  }
}
