/**
 * What went wrong, said where it was done; nothing where nothing did.
 */
import type { JSX } from "preact"

/** The words, which are read out when they come. */
export const Alert = ({ why }: { readonly why: string }): JSX.Element | null =>
  why === "" ? null : (
    <p class="why" role="alert">
      {why}
    </p>
  )
