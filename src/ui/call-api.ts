/**
 * What the page asks of the gateway, and has it do.
 */

/** What came of a call: its answer, or why there is none in words. */
export type Answered<A> =
  | { readonly _tag: "Done"; readonly value: A }
  | { readonly _tag: "Refused"; readonly status: number; readonly message: string }

const messageIn = (text: string): string => {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === "object" && body !== null && "error" in body) {
      const { error } = body
      if (typeof error === "object" && error !== null && "message" in error) return String(error.message)
      if (typeof error === "string") return error
    }
  } catch {
    return text.slice(0, 300)
  }
  return text.slice(0, 300)
}

/** Why an answer is a refusal, in words. */
export const refusalIn = async (response: Response): Promise<string> =>
  messageIn(await response.text()) || `HTTP ${response.status}`

/** Calls an endpoint of the gateway. */
export const callApi = async <A>(method: string, path: string, body?: unknown, key?: string): Promise<Answered<A>> => {
  try {
    const headers = {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` })
    }
    const response = await fetch(`..${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    if (!response.ok) return { _tag: "Refused", status: response.status, message: await refusalIn(response) }
    const value = response.status === 204 ? undefined : await response.json()
    return { _tag: "Done", value: value as A } // reason: the contract says what an endpoint answers
  } catch {
    return { _tag: "Refused", status: 0, message: "The gateway does not answer" }
  }
}

/** The lines of an answer that comes line by line, as they come. */
export async function* answerLines(response: Response): AsyncGenerator<string> {
  if (response.body === null) return
  const decoder = new TextDecoder()
  let rest = ""
  for await (const piece of response.body) {
    rest += decoder.decode(piece, { stream: true })
    const lines = rest.split("\n")
    rest = lines.pop() ?? ""
    yield* lines
  }
  if (rest !== "") yield rest
}
