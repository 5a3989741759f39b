/**
 * By which of its services Google answers, in its words and in OpenAI's.
 */
import { wordIn } from "../word-table.ts"

const toGoogle: Readonly<Record<string, string>> = { default: "standard", flex: "flex", priority: "priority" }

const fromGoogle: Readonly<Record<string, string>> = { standard: "default", flex: "flex", priority: "priority" }

/** Google's word for a tier of OpenAI's; undefined where it has none, or goes by what its project says. */
export const tierForGoogle = (tier: unknown): string | undefined => wordIn(toGoogle, tier)

/** OpenAI's word for a tier of Google's. */
export const tierOfGoogle = (tier: unknown): string | undefined =>
  typeof tier === "string" ? wordIn(fromGoogle, tier.toLowerCase()) : undefined
