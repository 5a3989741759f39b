/**
 * What a 404 is about: the address a request was sent to, or something that the request names.
 */
import { readErrorText } from "./error-text.ts"

const model =
  /model[^.]{0,200}?(?:not[\s_]+found|(?:does|do) not exist|not[\s_]+(?:available|loaded|supported)|unknown)|"model: |(?:no such|unknown|invalid|not found)[^.]{0,20}model/i

// What web servers, proxies and frameworks say of an address that they have nothing at.
const address =
  /^(?:error:? )?(?:40[45]:? )?(?:not[ _]?found|method not allowed|no route)\W*$|\b(?:page|route|path|url|uri|endpoint|resource|method|handler)\b|\bcannot (?:post|get)\b/i

/** Whether the text of an error says that there is no such model. */
export const isModelMissing = (status: number, text: string): boolean => status === 404 && model.test(text)

/** Whether it says that there is nothing at the address, as a server does that has the endpoint elsewhere or not at all. */
export const isAddressMissing = (status: number, text: string): boolean => {
  if ((status !== 404 && status !== 405) || isModelMissing(status, text)) return false
  const { json, sentence } = readErrorText(text)
  return json === undefined || sentence === undefined || sentence === text.trim() || address.test(sentence)
}
