/**
 * What a model has thought, as a client keeps it for the next turn: its text, and what its server has signed it with. The
 * seal hides nothing; it says whose it is.
 */

/** What is kept of the thoughts before a message or a call. */
export interface SealedReasoning {
  readonly text: string
  /** What signs the text. */
  readonly signature?: string | undefined
  /** What signs the call behind it. */
  readonly callSignature?: string | undefined
}

const mark = "nexus1."

const packed = (text: string): string => Buffer.from(text, "utf8").toString("base64url")

const unpacked = (text: string): string => Buffer.from(text, "base64url").toString("utf8")

/** Seals it. */
export const sealed = ({ callSignature = "", signature = "", text }: SealedReasoning): string =>
  `${mark}${[text, signature, callSignature].map(packed).join(".").replace(/\.+$/, "")}`

/** What a seal holds; undefined when it is of somebody else. */
export const unsealed = (seal: string): SealedReasoning | undefined => {
  if (!seal.startsWith(mark)) return undefined
  const [text = "", signature = "", callSignature = ""] = seal.slice(mark.length).split(".").map(unpacked)
  return {
    text,
    ...(signature === "" ? {} : { signature }),
    ...(callSignature === "" ? {} : { callSignature })
  }
}
