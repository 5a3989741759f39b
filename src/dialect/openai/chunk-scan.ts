/**
 * Reads the JSON of a stream's events byte by byte as it comes, and keeps of it no more than must be known: nothing is
 * collected or parsed, however large an event is and wherever it is cut.
 */

const LF = 10
const CR = 13
const space = 0x20
const quote = 0x22
const backslash = 0x5c

const keyNames = [
  "",
  "error",
  "object",
  "type",
  "choices",
  "usage",
  "detail",
  "message",
  "msg",
  "success",
  "index",
  "finish_reason",
  "delta",
  "text",
  "role",
  "x_groq",
  "timings"
] as const

type KeyName = (typeof keyNames)[number]

const codeOf = (name: KeyName): number => keyNames.indexOf(name)

const key = {
  error: codeOf("error"),
  object: codeOf("object"),
  type: codeOf("type"),
  choices: codeOf("choices"),
  usage: codeOf("usage"),
  detail: codeOf("detail"),
  message: codeOf("message"),
  msg: codeOf("msg"),
  success: codeOf("success"),
  index: codeOf("index"),
  finish: codeOf("finish_reason"),
  delta: codeOf("delta"),
  text: codeOf("text"),
  role: codeOf("role"),
  groq: codeOf("x_groq"),
  timings: codeOf("timings")
} as const

const hashStart = 0x811c9dc5 | 0

const hashStep = (hash: number, byte: number): number => Math.imul(hash ^ byte, 0x01000193)

const hashes = Int32Array.from(keyNames, (name) =>
  Array.from(name, (letter) => letter.charCodeAt(0)).reduce(hashStep, hashStart)
)

// Where to look for a hash: most keys of an answer are none of these and are told by one look.
const places = new Uint8Array(256)
for (const [code, hash] of hashes.entries()) if (code > 0) places[hash & 0xff] = code

const keyOf = (hash: number): number => {
  const code = places[hash & 0xff] ?? 0
  return hashes[code] === hash ? code : 0
}

const errorHash = hashes[key.error] ?? 0

/** What is being read: between tokens, or inside of one. */
const inside = { nothing: 0, key: 1, text: 2, word: 3, literal: 4 } as const

/** Which object or list the place is in; whatever is in none of them is only counted through. */
const area = { none: 0, root: 1, choices: 2, choice: 3, delta: 4, vendor: 5 } as const

/** Longest finish reason that is kept, and longest usage object. */
const longestWord = 40
const longestUsage = 2048

// A line end is one, also where JSON has no place for it.
const pastEscape = (bytes: Uint8Array, at: number): number => (bytes[at] === LF || bytes[at] === CR ? at : at + 1)

/** The facts of an event, and in what it is on its way. */
export class ChunkScan {
  /** Whether an event's JSON object has just been read to its end. */
  closed = false
  /** A real error: not null, false, empty, or made of nothing but such values. */
  error = false
  /** The words of a failure outside of any error object. */
  flat = false
  /** Whether there is a list of choices. */
  listed = false
  /** Whether any choice says something: text, reasoning, a call. */
  says = false
  /** Whether there is a usage object. */
  metered = false
  /** Bytes of text in the choices of all events. */
  text = 0
  /** Where the last string of its choices stood in the bytes that were read last; -1 when none stood there whole. */
  stringFrom = -1
  stringTo = -1
  /** The indexes of its choices, and the finish reason of each; "" where there is none. */
  readonly indexes: Array<number> = []
  readonly words: Array<string> = []
  private token: number = inside.nothing
  private area: number = area.none
  // How deep the place is in an object or list of no interest.
  private skipped = 0
  private key = 0
  private keyNext = false
  private hash = 0
  private escaped = false
  // How much of the text is of the last string.
  private lastText = 0
  // Where the string under way began in these bytes; -1 when it did before.
  private began = -1
  // Whether the string, literal, object or list under way holds anything.
  private real = false
  private realString = false
  private number = -1
  private place = -1
  private index = -1
  private word = ""
  private usageBytes: Uint8Array | undefined
  private usageSize = 0
  private usageFrom = -1
  private hasUsage = false

  /** Whether an object has begun and not ended. */
  get open(): boolean {
    return this.area !== area.none || this.skipped > 0
  }

  /** Whether the event is an error, or in the middle of what may be one. */
  get erring(): boolean {
    return this.error || (this.area === area.root && this.key === key.error)
  }

  /** The last usage object, as bytes, or what some servers tell of their tokens in any case; empty when there was none, or one too long to be one. */
  usage(): Uint8Array {
    return this.usageBytes?.subarray(0, Math.max(0, this.usageSize)) ?? new Uint8Array(0)
  }

  /** Forgets an event that has not ended. */
  reset(): void {
    this.area = area.none
    this.token = inside.nothing
    this.skipped = 0
    this.escaped = false
    this.usageFrom = -1
  }

  /** Reads on from `at` to the end of the line, of the event's object or of the bytes; gives where it stopped. */
  read(bytes: Uint8Array, from: number): number {
    if (this.usageFrom >= 0) this.usageFrom = from
    this.began = -1
    let at = from
    while (at < bytes.length) {
      if (this.token !== inside.nothing) {
        at = this.token === inside.literal ? this.literal(bytes, at) : this.string(bytes, at)
        if (this.token !== inside.nothing) break
        continue
      }
      const byte = bytes[at] ?? 0
      if (byte === LF || byte === CR) break
      at += 1
      switch (byte) {
        case quote:
          this.began = at
          this.beginString()
          break
        case 0x3a:
          // What stands before a colon is a name, and no text.
          if (this.skipped > 0) this.text -= this.lastText
          this.lastText = 0
          this.realString = false
          this.keyNext = false
          break
        case 0x2c:
          if (this.skipped > 0) this.settle()
          else this.keyNext = this.area !== area.choices
          break
        case 0x7b:
        case 0x5b:
          this.enter(byte === 0x7b, at - 1)
          break
        case 0x7d:
        case 0x5d:
          this.leave(bytes, at)
          if (this.closed) return at
          break
        default:
          if (byte <= space) break
          at -= 1
          this.real = this.skipped > 0 ? this.real : false
          this.number = -1
          this.token = inside.literal
      }
    }
    if (this.usageFrom >= 0) this.keepUsage(bytes, at)
    return at
  }

  private beginString(): void {
    this.lastText = 0
    if (this.skipped > 0) {
      this.token = inside.text
      this.realString = false
      return
    }
    this.hash = hashStart
    if (this.keyNext) this.token = inside.key
    else {
      const worded = this.area === area.choice && this.key === key.finish
      this.token = worded ? inside.word : inside.text
      if (worded) this.word = ""
      this.realString = false
    }
  }

  // Reads a string to its quote; stands where it began again when the line or the bytes end first.
  private string(bytes: Uint8Array, from: number): number {
    let at = from
    const size = bytes.length
    const { token } = this
    if (this.escaped && size > from) {
      this.escaped = false
      at = pastEscape(bytes, at)
    }
    let { hash } = this
    const counted = token === inside.key || (this.skipped === 0 && this.area === area.root)
    while (at < size) {
      const byte = bytes[at] ?? 0
      if (byte > quote && byte !== backslash) {
        at += 1
        if (counted) hash = hashStep(hash, byte)
        else if (token === inside.word) this.spell(byte)
      } else if (byte === quote) {
        if (at > from) this.realString = true
        this.hash = hash
        this.weigh(at - from)
        this.endString(at)
        return at + 1
      } else if (byte === LF || byte === CR) {
        break
      } else {
        at += 1
        hash = byte === backslash ? 0 : hashStep(hash, byte)
        if (token === inside.word) this.spell(byte)
        if (byte !== backslash) continue
        this.realString = true
        if (at === size) this.escaped = true
        else at = pastEscape(bytes, at)
      }
    }
    if (at > from) this.realString = true
    this.hash = hash
    this.weigh(at - from)
    return at
  }

  private weigh(size: number): void {
    if (this.token !== inside.text) return
    const { area: of, key: name } = this
    // What a choice has beside its text is no text, such as what was likely in its place.
    if (of === area.choice ? this.skipped > 0 || name !== key.text : of !== area.delta) return
    if (this.skipped === 0 && name === key.role) return
    this.lastText += size
    this.text += size
  }

  private spell(byte: number): void {
    if (this.word.length < longestWord) this.word += String.fromCharCode(byte)
  }

  private endString(at: number): void {
    const { token } = this
    this.token = inside.nothing
    if (token === inside.text && (this.area === area.choice || this.area === area.delta)) {
      this.stringFrom = this.began
      this.stringTo = at
    }
    if (this.skipped > 0) return
    if (token === inside.key) {
      this.key = keyOf(this.hash)
      return
    }
    if (this.area === area.root) {
      const says = this.hash === errorHash
      if (says && (this.key === key.object || this.key === key.type)) this.error = true
    }
    if (token === inside.text) this.valued(this.realString)
  }

  private literal(bytes: Uint8Array, from: number): number {
    let at = from
    while (at < bytes.length) {
      const byte = bytes[at] ?? 0
      const digit = byte - 0x30
      if (digit >= 0 && digit <= 9) {
        if (digit > 0) this.real = true
        this.number = this.number < 0 ? digit : this.number * 10 + digit
      } else if (byte === 0x74) {
        this.real = true
      } else if (byte <= space || byte === 0x2c || byte === 0x7d || byte === 0x5d || byte === 0x3a || byte === quote) {
        this.token = inside.nothing
        if (this.skipped === 0) this.valued(this.real)
        return at
      }
      at += 1
    }
    return at
  }

  // In what is only counted through, a string is a value when no colon came behind it.
  private settle(): void {
    if (this.realString) this.real = true
    this.realString = false
  }

  private enter(object: boolean, at: number): void {
    if (this.skipped > 0) {
      this.skipped += 1
      return
    }
    const into = this.areaOf(object)
    if (into === area.none) {
      this.skipped = 1
      this.real = false
      this.realString = false
      if (object && this.key === key.usage && this.area !== area.delta && this.area !== area.none) {
        this.usageFrom = at
        this.usageSize = 0
        this.metered = true
        this.hasUsage = true
      } else if (object && this.key === key.timings && this.area === area.root && !this.hasUsage) {
        this.usageFrom = at
        this.usageSize = 0
      }
      return
    }
    this.area = into
    this.keyNext = into !== area.choices
    this.key = 0
    if (into === area.root) this.beginEvent()
    if (into === area.choices) {
      this.listed = true
      this.place = -1
    }
    if (into === area.choice) {
      this.place += 1
      this.index = -1
      this.word = ""
    }
  }

  private areaOf(object: boolean): number {
    switch (this.area) {
      case area.none:
        return object ? area.root : area.none
      case area.root:
        if (!object) return this.key === key.choices ? area.choices : area.none
        return this.key === key.groq ? area.vendor : area.none
      case area.choices:
        return object ? area.choice : area.none
      case area.choice:
        return object && (this.key === key.delta || this.key === key.message) ? area.delta : area.none
      default:
        return area.none
    }
  }

  private leave(bytes: Uint8Array, at: number): void {
    if (this.skipped > 0) {
      this.settle()
      this.skipped -= 1
      if (this.skipped > 0) return
      if (this.usageFrom >= 0) {
        this.keepUsage(bytes, at)
        this.usageFrom = -1
      }
      return this.valued(this.real)
    }
    switch (this.area) {
      case area.root:
        this.area = area.none
        this.closed = true
        return
      case area.choice:
        this.indexes.push(this.index < 0 ? this.place : this.index)
        this.words.push(this.word)
        this.area = area.choices
        return
      case area.choices:
      case area.vendor:
        this.area = area.root
        return
      case area.delta:
        this.area = area.choice
    }
  }

  private beginEvent(): void {
    this.error = false
    this.flat = false
    this.listed = false
    this.says = false
    this.metered = false
    this.stringFrom = -1
    this.indexes.length = 0
    this.words.length = 0
  }

  private valued(real: boolean): void {
    const { key: of } = this
    switch (this.area) {
      case area.root:
        if (of === key.error) this.error ||= real
        else if (of === key.detail || of === key.message || of === key.msg) this.flat ||= real
        else if (of === key.success) this.flat ||= !real
        return
      case area.choice:
        if (of === key.index) this.index = this.number
        else if (of === key.text) this.says ||= real
        // Some server's own form: not known, and not nothing.
        else if (of === key.finish && real && this.word === "") this.word = "?"
        return
      case area.delta:
        if (of !== key.role) this.says ||= real
    }
  }

  private keepUsage(bytes: Uint8Array, to: number): void {
    const size = to - this.usageFrom
    if (this.usageSize < 0 || this.usageSize + size > longestUsage) {
      this.usageSize = -1
      return
    }
    this.usageBytes ??= new Uint8Array(longestUsage)
    this.usageBytes.set(bytes.subarray(this.usageFrom, to), this.usageSize)
    this.usageSize += size
  }
}
