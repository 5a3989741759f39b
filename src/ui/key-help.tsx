/**
 * Which keys lead the page: told by a question mark, where those look who use keys, and by a button beside the views.
 */
import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { isWrittenIn } from "./keyboard.ts"

/** Keys, one of which is pressed, and what they do. */
const keys: ReadonlyArray<readonly [keys: ReadonlyArray<string>, does: string]> = [
  [["Tab", "Shift Tab"], "to the next thing, and back"],
  [["Enter"], "follows a link, presses a button; sends the message in the playground"],
  [["Shift Enter"], "begins a new line in the playground"],
  [["↑", "↓"], "a row up or down in a table"],
  [["Page Up", "Page Down"], "a screen of a table up or down"],
  [["Home", "End"], "to the first row, to the last"],
  [["Enter", "Space"], "opens the row of a table"],
  [["Escape"], "closes the request that is open, or this list"],
  [["?"], "shows this list"]
]

/** The button, and the list that it opens. */
export const KeyHelp = (): JSX.Element => {
  const dialog = useRef<HTMLDialogElement>(null)
  const show = (): void => {
    if (dialog.current?.open === false) dialog.current.showModal()
  }
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey || isWrittenIn(event.target)) return
      event.preventDefault()
      show()
    }
    document.addEventListener("keydown", pressed)
    return () => document.removeEventListener("keydown", pressed)
  }, [])
  return (
    <>
      <button type="button" class="help" aria-label="Shortcuts" aria-keyshortcuts="?" onClick={show}>
        ?
      </button>
      <dialog ref={dialog} aria-labelledby="key-help">
        <h2 id="key-help">Shortcuts</h2>
        <table>
          <tbody>
            {keys.map(([names, does]) => (
              <tr key={does}>
                <th scope="row">
                  {names.map((name) => (
                    <kbd key={name}>{name}</kbd>
                  ))}
                </th>
                <td>{does}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <form method="dialog">
          <button type="submit">close</button>
        </form>
      </dialog>
    </>
  )
}
