/**
 * Who a request is from and how urgent it is, for those that wait.
 */
import { crc32 } from "node:zlib"
import { priorityClasses, type PriorityClass, sessionNamed } from "../domain/request.ts"
import type { RequestRecord } from "./record.ts"
import type { SlotSeeker } from "./slot-queue.ts"

/** What tells requests apart that wait. */
export interface SeekerRules {
  /** Headers that tell conversations apart; the first that is there counts. */
  readonly sessionHeaders: ReadonlyArray<string>
}

const priorityHeader = "x-nexus-priority"

const isClass = (text: string): text is PriorityClass => priorityClasses.some((each) => each === text)

/** The class of a request: that of its key, or the lesser one that it asks for; without keys whichever it asks for. */
export const priorityOf = ({ grant, request }: Pick<RequestRecord, "grant" | "request">): PriorityClass => {
  const usual = grant?.priority ?? "normal"
  const asked = request.headers.get(priorityHeader)?.trim().toLowerCase()
  if (asked === undefined || !isClass(asked)) return usual
  const isMore = priorityClasses.indexOf(asked) < priorityClasses.indexOf(usual)
  return isMore && grant !== undefined ? usual : asked
}

/** What stands for the conversation of a request where a header tells it; 0 otherwise. */
export const sessionOf = ({ request }: RequestRecord, { sessionHeaders }: SeekerRules): number => {
  const session = sessionNamed(request.headers, sessionHeaders)
  return session === undefined ? 0 : crc32(session) || 1
}

/** Who asks for a slot. */
export const seekerOf = (
  record: RequestRecord,
  rules: SeekerRules
): Pick<SlotSeeker, "key" | "priority" | "session"> => ({
  key: record.key ?? "",
  priority: priorityOf(record),
  session: sessionOf(record, rules) || record.decided?.work.chain?.root || 0
})
