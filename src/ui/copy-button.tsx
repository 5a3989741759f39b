/**
 * A button that copies a text, also where the page came by plain http, where browsers have no clipboard for it.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"

const copyTheOldWay = (text: string): boolean => {
  const area = document.createElement("textarea")
  area.value = text
  area.className = "off-screen"
  document.body.append(area)
  area.select()
  // Nothing else copies where there is no secure context.
  const isDone = document.execCommand("copy")
  area.remove()
  return isDone
}

const copy = async (text: string): Promise<boolean> => {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyTheOldWay(text)
  }
}

/** The button; `label` says what it copies. */
export const CopyButton = ({ label, text }: { readonly text: string; readonly label: string }): JSX.Element => {
  const [said, setSaid] = useState("")
  return (
    <>
      <button
        type="button"
        aria-label={label}
        onClick={() => void copy(text).then((isDone) => setSaid(isDone ? "copied" : "mark it, and copy it by hand"))}
      >
        copy
      </button>
      <span role="status" class="dim">
        {said}
      </span>
    </>
  )
}
