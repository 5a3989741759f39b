/**
 * A model for a real llama-server that says what its template has written for it to say: its one layer looks a fixed number of
 * tokens back and repeats what it sees there. So a real server answers as an agent's backend should, with everything that is its own
 * between: templates, caches, sampling, grammars, the parser of calls, streams.
 */
import { basename } from "node:path"
import { byteTokens, ggufFile, type Tensor, type Token } from "../kit/gguf.ts"

const heads = 4
const perHead = 128
const hidden = heads * perHead
const inner = 32

const end = "<|im_end|>"

const tokens: ReadonlyArray<Token> = [
  { text: "<unk>", score: 0, type: 2 },
  { text: "<|im_start|>", score: 0, type: 3 },
  { text: end, score: 0, type: 3 },
  ...byteTokens,
  { text: "▁", score: 0, type: 1 }
]

/** How many tokens an answer may have: what is written for it is filled up to so many. */
const room = 1500

// Behind it stands who speaks: one token of control, and one for each letter; a token tells the one behind it.
const back = room + "assistant\n".length

// The heads turn by angles of 1 down to a quarter a token, so that the place looked for stands out from those beside it.
const turnBase = 4

/** Rows of as many columns, each number by its place. */
const matrix = (name: string, rows: number, columns: number, at: (row: number, column: number) => number): Tensor => ({
  name,
  size: [columns, rows],
  values: Float32Array.from({ length: rows * columns }, (_, place) => at(Math.floor(place / columns), place % columns))
})

const filled = (name: string, length: number): Tensor => ({
  name,
  size: [length],
  values: new Float32Array(length).fill(1)
})

/** The first number of a token's vector is the same for all; the one at its own place says which it is. */
const placeOf = (token: number): number => token + 1

// Two equal numbers among `hidden` are this large once they are normalised.
const normalised = Math.sqrt(hidden / 2)
const sharpness = 6

// A query is turned back by as many tokens as it looks back, a key by none.
const turned = (row: number, column: number, tokensBack: number): number => {
  if (column !== 0) return 0
  const pair = Math.floor((row % perHead) / 2)
  const angle = -tokensBack * turnBase ** ((-2 * pair) / perHead)
  return ((row % 2 === 0 ? Math.cos(angle) : Math.sin(angle)) * sharpness) / normalised
}

const tensors: ReadonlyArray<Tensor> = [
  matrix("token_embd.weight", tokens.length, hidden, (row, column) =>
    column === 0 || column === placeOf(row) ? 1 : 0
  ),
  filled("output_norm.weight", hidden),
  matrix("output.weight", tokens.length, hidden, (row, column) => (column === placeOf(row) ? 2 : 0)),
  filled("blk.0.attn_norm.weight", hidden),
  matrix("blk.0.attn_q.weight", hidden, hidden, (row, column) => turned(row, column, back)),
  matrix("blk.0.attn_k.weight", hidden, hidden, (row, column) => turned(row, column, 0)),
  matrix("blk.0.attn_v.weight", hidden, hidden, (row, column) => (row === column ? 1 : 0)),
  matrix("blk.0.attn_output.weight", hidden, hidden, (row, column) => (row === column && row > 0 ? 1 : 0)),
  filled("blk.0.ffn_norm.weight", hidden),
  matrix("blk.0.ffn_gate.weight", inner, hidden, () => 0),
  matrix("blk.0.ffn_up.weight", inner, hidden, () => 0),
  matrix("blk.0.ffn_down.weight", hidden, inner, () => 0)
]

/**
 * What is said to a request with tools of those that read files: calls for these files, and what they gave once they are there;
 * to one without tools: what stands behind their names, else to be shown them.
 * Of all that is told to the model a few hundred letters each are kept, since each letter is a token.
 */
const template = (paths: ReadonlyArray<string>): string => `
{%- set readers = ["read", "read_file", "view", "exec_command", "run_commands", "shell_command", "run_shell_command", "bash", "shell", "execute_command"] -%}
{%- set fields = ["file_path", "absolute_path", "filePath", "filepath", "path"] -%}
{%- set paths = ${JSON.stringify(paths)} -%}
{%- set names = ${JSON.stringify(paths.map((path) => basename(path)))} -%}
{%- set ns = namespace(asked=false, shown=[], name="", field="", list=false, about=false, given=[], plan="") -%}
{%- for tool in tools or [] -%}
  {%- set function = tool.function if tool.function is defined else tool -%}
  {%- if ns.name == "" and function.name|lower in readers -%}
    {%- set properties = function.parameters.properties -%}
    {%- for field in fields + ["command", "cmd", "commands"] -%}
      {%- if ns.field == "" and field in properties -%}
        {%- set ns.field = field -%}
        {%- set ns.list = properties[field].type == "array" -%}
      {%- endif -%}
    {%- endfor -%}
    {%- if ns.field != "" -%}
      {%- set ns.name = function.name -%}
      {%- set ns.about = "description" in properties -%}
    {%- endif -%}
  {%- endif -%}
{%- endfor -%}
{%- if tools -%}<|im_start|>system
Tools:{% for tool in tools %} {{ (tool.function if tool.function is defined else tool).name }}{% endfor %}${end}
{% endif -%}
{%- for message in messages -%}
  {%- if message.role == "user" -%}
    {%- set ns.given = [] -%}
    {%- set text = message.content|string -%}
    {%- if names|last in text -%}{%- set ns.asked = true -%}{%- endif -%}
    {%- for name in names -%}
      {%- set parts = text.split(name + "\\n\`\`\`\\n") -%}
      {%- if parts|length > 1 -%}{%- set ns.shown = ns.shown + [parts[1].split("\\n")[0]] -%}{%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if message.role == "tool" -%}{%- set ns.given = ns.given + [message.content|string] -%}{%- endif -%}
<|im_start|>{{ message.role }}
{% if message.content %}{{ (message.content|string)[:400] }}{% endif %}
  {%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments|tojson }}}
</tool_call>
  {%- endfor -%}
${end}
{% endfor -%}
{%- if not tools and ns.shown|length >= names|length -%}
  {%- set ns.plan = "They say " + ns.shown|join(" and ") -%}
{%- elif not tools and ns.asked -%}
  {%- set ns.plan = "Show me " + names|join(" and ") -%}
{%- elif ns.name == "" -%}
  {%- set ns.plan = "Two words" -%}
{%- elif ns.given|length >= paths|length -%}
  {%- set ns.plan = "They say" -%}
  {%- for text in ns.given -%}{%- set ns.plan = ns.plan + " " + text[:300] -%}{%- endfor -%}
{%- else -%}
  {%- for path in paths[ns.given|length:] -%}
    {%- set command = "cat '" + path + "'" -%}
    {%- if ns.field in fields -%}{%- set value = path|tojson -%}
    {%- elif ns.field == "commands" -%}{%- set value = [command]|tojson -%}
    {%- elif ns.list -%}{%- set value = ["bash", "-lc", command]|tojson -%}
    {%- else -%}{%- set value = command|tojson -%}{%- endif -%}
    {%- set ns.plan = ns.plan + ("\\n" if ns.plan else "") + "<tool_call>\\n{\\"name\\": \\"" + ns.name + "\\", \\"arguments\\": {\\"" + ns.field + "\\": " + value -%}
    {%- if ns.about and ns.field not in fields -%}{%- set ns.plan = ns.plan + ", \\"description\\": \\"Reads a file\\"" -%}{%- endif -%}
    {%- set ns.plan = ns.plan + "}}\\n</tool_call>" -%}
  {%- endfor -%}
{%- endif -%}
<|im_start|>plan
{{ ns.plan }}${end}{% for each in range(${room - 1} - ns.plan|length) %}~{% endfor %}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif -%}
`

/** The file of a model that has an agent read these files, and then says what was in them. */
export const copyingModel = (paths: ReadonlyArray<string>): Uint8Array =>
  ggufFile({
    tokens,
    tensors,
    texts: {
      "general.architecture": "llama",
      "general.name": "copying",
      "tokenizer.ggml.model": "llama",
      "tokenizer.chat_template": template(paths).trim()
    },
    counts: {
      "llama.context_length": 131_072,
      "llama.embedding_length": hidden,
      "llama.block_count": 1,
      "llama.feed_forward_length": inner,
      "llama.attention.head_count": heads,
      "llama.attention.head_count_kv": heads,
      "llama.rope.dimension_count": perHead,
      "llama.vocab_size": tokens.length,
      "tokenizer.ggml.unknown_token_id": 0,
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2
    },
    fractions: { "llama.attention.layer_norm_rms_epsilon": 1e-6, "llama.rope.freq_base": turnBase },
    flags: { "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.add_bos_token": false }
  })
