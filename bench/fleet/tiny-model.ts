/**
 * A model of random weights as a GGUF file, for a real llama-server: its answers mean nothing, and its tokens are those of `prose`.
 */

/** How the types of values are numbered in the file. */
const types = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 } as const

const alignment = 32

const shape = { hidden: 64, layers: 2, heads: 2, inner: 128, context: 131_072 } as const

const letters = "abcdefghijklmnopqrstuvwxyz"

const blank = "▁"

interface Token {
  readonly text: string
  readonly score: number
  /** 1 a word, 2 unknown, 3 control, 6 a byte. */
  readonly type: number
}

// Each word is put together from its beginnings, which therefore are tokens as well.
const vocabulary = (): ReadonlyArray<Token> => {
  const special: ReadonlyArray<Token> = [
    { text: "<unk>", score: 0, type: 2 },
    { text: "<s>", score: 0, type: 3 },
    { text: "</s>", score: 0, type: 3 }
  ]
  const bytes = Array.from({ length: 256 }, (_, at) => ({
    text: `<0x${at.toString(16).toUpperCase().padStart(2, "0")}>`,
    score: 0,
    type: 6
  }))
  let beginnings = [blank]
  const words: Array<Token> = [...letters].map((text) => ({ text, score: -1e6, type: 1 }))
  for (let length = 0; length <= 3; length += 1) {
    words.push(...beginnings.map((text) => ({ text, score: length - 10, type: 1 })))
    beginnings = beginnings.flatMap((beginning) => [...letters].map((letter) => beginning + letter))
  }
  return [...special, ...bytes, ...words]
}

// The text of an answer follows its role as it was written, so that it is found again in the next turn.
const template =
  "{{ bos_token }}{% for message in messages %} {{ message['role'] }}{% if message['role'] != 'assistant' %} {% endif %}{{ message['content'] }}{% endfor %}{% if add_generation_prompt %} assistant{% endif %}"

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

interface Tensor {
  readonly name: string
  readonly size: ReadonlyArray<number>
  readonly values: Float32Array
}

// Numbers around 0 that are the same in each run.
const randomly = (seed: number, count: number, scale: number): Float32Array => {
  let state = seed >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state / 2 ** 31 - 1) * scale
  })
}

const tensors = (tokens: ReadonlyArray<Token>): ReadonlyArray<Tensor> => {
  const { hidden, inner, layers } = shape
  let seed = 1
  const matrix = (name: string, rows: number, columns: number): Tensor => ({
    name,
    size: [columns, rows],
    values: randomly((seed += 1), rows * columns, 2 / Math.sqrt(columns))
  })
  const norm = (name: string): Tensor => ({ name, size: [hidden], values: new Float32Array(hidden).fill(1) })
  const output = matrix("output.weight", tokens.length, hidden)
  // What is no whole word has the same likelihood always, and is not the likeliest.
  tokens.forEach(({ text }, at) => {
    if (text.length !== 4 || !text.startsWith(blank)) output.values.fill(0, at * hidden, (at + 1) * hidden)
  })
  return [
    matrix("token_embd.weight", tokens.length, hidden),
    norm("output_norm.weight"),
    output,
    ...Array.from({ length: layers }, (_, at) => {
      const name = (part: string): string => `blk.${String(at)}.${part}.weight`
      return [
        norm(name("attn_norm")),
        matrix(name("attn_q"), hidden, hidden),
        matrix(name("attn_k"), hidden, hidden),
        matrix(name("attn_v"), hidden, hidden),
        matrix(name("attn_output"), hidden, hidden),
        norm(name("ffn_norm")),
        matrix(name("ffn_gate"), inner, hidden),
        matrix(name("ffn_up"), inner, hidden),
        matrix(name("ffn_down"), hidden, inner)
      ]
    }).flat()
  ]
}

/** The file. */
export const tinyModel = (): Uint8Array => {
  const tokens = vocabulary()
  const all = tensors(tokens)
  const values: Array<(to: Writer) => void> = []
  const u32 = (key: string, value: number): void =>
    void values.push((to) => void to.string(key).u32(types.u32).u32(value))
  const f32 = (key: string, value: number): void =>
    void values.push((to) => void to.string(key).u32(types.f32).f32(value))
  const text = (key: string, value: string): void =>
    void values.push((to) => void to.string(key).u32(types.string).string(value))
  const list = (key: string, type: number, each: (to: Writer, token: Token) => void): void =>
    void values.push((to) => {
      to.string(key).u32(types.array).u32(type).u64(tokens.length)
      for (const token of tokens) each(to, token)
    })
  text("general.architecture", "llama")
  text("general.name", "tiny random")
  u32("general.alignment", alignment)
  u32("llama.context_length", shape.context)
  u32("llama.embedding_length", shape.hidden)
  u32("llama.block_count", shape.layers)
  u32("llama.feed_forward_length", shape.inner)
  u32("llama.attention.head_count", shape.heads)
  u32("llama.attention.head_count_kv", shape.heads)
  u32("llama.rope.dimension_count", shape.hidden / shape.heads)
  u32("llama.vocab_size", tokens.length)
  f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
  text("tokenizer.ggml.model", "llama")
  list("tokenizer.ggml.tokens", types.string, (to, token) => void to.string(token.text))
  list("tokenizer.ggml.scores", types.f32, (to, token) => void to.f32(token.score))
  list("tokenizer.ggml.token_type", types.i32, (to, token) => void to.u32(token.type))
  u32("tokenizer.ggml.unknown_token_id", 0)
  u32("tokenizer.ggml.bos_token_id", 1)
  u32("tokenizer.ggml.eos_token_id", 2)
  text("tokenizer.chat_template", template)
  const head = new Writer().bytes(Buffer.from("GGUF")).u32(3).u64(all.length).u64(values.length)
  for (const write of values) write(head)
  let offset = 0
  for (const { name, size, values: weights } of all) {
    head.string(name).u32(size.length)
    for (const each of size) head.u64(each)
    head.u32(0).u64(offset)
    offset += Math.ceil(weights.byteLength / alignment) * alignment
  }
  head.align()
  for (const { values: weights } of all) head.bytes(new Uint8Array(weights.buffer)).align()
  return head.all
}
