/**
 * Files of models as llama.cpp reads them (GGUF, version 3, little-endian; `docs/gguf.md` of ggml).
 */

/** How the types of values are numbered in the file. */
const types = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const

const alignment = 32

/** A token of a vocabulary. */
export interface Token {
  readonly text: string
  readonly score: number
  /** 1 a word, 2 unknown, 3 control, 6 a byte. */
  readonly type: number
}

/** Numbers in the order of the file: rows of as many as the first of `size` says. */
export interface Tensor {
  readonly name: string
  readonly size: ReadonlyArray<number>
  readonly values: Float32Array
}

/** Bytes that are written one after the other. */
class Writer {
  private readonly parts: Array<Uint8Array> = []
  size = 0

  bytes(part: Uint8Array): this {
    this.parts.push(part)
    this.size += part.length
    return this
  }

  u32(value: number): this {
    const part = Buffer.alloc(4)
    part.writeUInt32LE(value)
    return this.bytes(part)
  }

  u64(value: number): this {
    const part = Buffer.alloc(8)
    part.writeBigUInt64LE(BigInt(value))
    return this.bytes(part)
  }

  f32(value: number): this {
    const part = Buffer.alloc(4)
    part.writeFloatLE(value)
    return this.bytes(part)
  }

  string(text: string): this {
    const part = Buffer.from(text)
    return this.u64(part.length).bytes(part)
  }

  align(): this {
    return this.bytes(new Uint8Array((alignment - (this.size % alignment)) % alignment))
  }

  get all(): Uint8Array {
    return Buffer.concat(this.parts)
  }
}

/** What stands in a file: its values by name, its tokens (in order of their numbers), its weights. */
export interface Model {
  readonly texts: Readonly<Record<string, string>>
  readonly counts: Readonly<Record<string, number>>
  readonly fractions: Readonly<Record<string, number>>
  readonly flags: Readonly<Record<string, boolean>>
  readonly tokens: ReadonlyArray<Token>
  readonly tensors: ReadonlyArray<Tensor>
}

/** 256 tokens, one for each byte. */
export const byteTokens: ReadonlyArray<Token> = Array.from({ length: 256 }, (_, at) => ({
  text: `<0x${at.toString(16).toUpperCase().padStart(2, "0")}>`,
  score: 0,
  type: 6
}))

/** The file of a model. */
export const ggufFile = ({ counts, flags, fractions, tensors, texts, tokens }: Model): Uint8Array => {
  const values: Array<(to: Writer) => void> = []
  const list = (key: string, type: number, each: (to: Writer, token: Token) => void): void =>
    void values.push((to) => {
      to.string(key).u32(types.array).u32(type).u64(tokens.length)
      for (const token of tokens) each(to, token)
    })
  for (const [key, text] of Object.entries(texts)) values.push((to) => to.string(key).u32(types.string).string(text))
  for (const [key, count] of Object.entries({ "general.alignment": alignment, ...counts })) {
    values.push((to) => to.string(key).u32(types.u32).u32(count))
  }
  for (const [key, number] of Object.entries(fractions)) values.push((to) => to.string(key).u32(types.f32).f32(number))
  for (const [key, flag] of Object.entries(flags)) {
    values.push((to) =>
      to
        .string(key)
        .u32(types.bool)
        .bytes(Uint8Array.of(flag ? 1 : 0))
    )
  }
  list("tokenizer.ggml.tokens", types.string, (to, token) => void to.string(token.text))
  list("tokenizer.ggml.scores", types.f32, (to, token) => void to.f32(token.score))
  list("tokenizer.ggml.token_type", types.i32, (to, token) => void to.u32(token.type))
  const head = new Writer().bytes(Buffer.from("GGUF")).u32(3).u64(tensors.length).u64(values.length)
  for (const write of values) write(head)
  let offset = 0
  for (const { name, size, values: weights } of tensors) {
    head.string(name).u32(size.length)
    for (const each of size) head.u64(each)
    head.u32(0).u64(offset)
    offset += Math.ceil(weights.byteLength / alignment) * alignment
  }
  head.align()
  for (const { values: weights } of tensors) head.bytes(new Uint8Array(weights.buffer)).align()
  return head.all
}
