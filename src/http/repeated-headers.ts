/**
 * The headers of answers, which are nearly those of the answer before: a list that is there is given to the next one with the few
 * values that differ, since Bun copies a list in a fifth of the time that it takes to read an object.
 */

/** A list of headers, and what was put into it last. */
interface Repeated {
  readonly names: ReadonlyArray<string>
  readonly values: Array<string>
  readonly list: Headers
}

// Kinds of answers that are told apart, by the names of their headers.
const mostKinds = 8

const isSame = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean => {
  if (one.length !== other.length) return false
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false
  return true
}

/** Lists of headers that are used again and again. */
export class RepeatedHeaders {
  private readonly kinds: Array<Repeated> = []
  private next = 0
  private missed: ReadonlyArray<string> = []

  /** These headers for an answer that is made of them at once: whoever keeps them sees those of others. */
  of(headers: Readonly<Record<string, string>>): Headers | Readonly<Record<string, string>> {
    const names = Object.keys(headers)
    for (const kind of this.kinds) if (isSame(kind.names, names)) return this.follow(kind, Object.values(headers))
    // What comes once is not worth a list.
    if (isSame(this.missed, names)) {
      this.kinds[this.next] = { names, values: Object.values(headers), list: new Headers(headers) }
      this.next = (this.next + 1) % mostKinds
    }
    this.missed = names
    return headers
  }

  private follow({ list, names, values }: Repeated, now: ReadonlyArray<string>): Headers {
    for (let at = 0; at < now.length; at += 1) {
      const value = now[at] ?? ""
      if (value === values[at]) continue
      list.set(names[at] ?? "", value)
      values[at] = value
    }
    return list
  }
}
