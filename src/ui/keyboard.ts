/**
 * What those feel who lead the page by keys: the focus stays when what has it moves or goes, and Escape closes what is open.
 */

// In the order in which they take the focus of what has gone.
const takers = ['[role="grid"]', "button:not(:disabled), a[href], input, select, textarea, [tabindex]"] as const

// What has the focus, and what it stands in, from the inside out.
let held: ReadonlyArray<HTMLElement> = []

const around = (element: HTMLElement): ReadonlyArray<HTMLElement> => {
  const all: Array<HTMLElement> = []
  for (let at: HTMLElement | null = element; at !== null && at !== document.body; at = at.parentElement) all.push(at)
  return all
}

/** Gives the focus back to what lost it by being moved; where that has gone, to what stands nearest to its place. */
const giveBack = (): void => {
  const [own, ...outer] = held
  if (own === undefined || document.activeElement !== document.body) return
  if (own.isConnected) return own.focus({ preventScroll: true })
  for (const each of outer.filter(({ isConnected }) => isConnected)) {
    for (const taker of takers) {
      const next = each.querySelector<HTMLElement>(taker)
      if (next !== null) return next.focus({ preventScroll: true })
    }
  }
}

/** Whether a key that is pressed there is written. */
export const isWrittenIn = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches('input:not([type="radio"], [type="checkbox"]), select, textarea')

/** Begins to keep the focus, and to hear Escape. */
export const heedKeys = (): void => {
  document.addEventListener("focusin", ({ target }) => {
    // What is in a dialog has the focus only as long as that is open.
    if (target instanceof HTMLElement && target.closest("dialog") === null) held = around(target)
  })
  // Who points beside everything wants to leave it.
  document.addEventListener("pointerdown", () => {
    held = []
  })
  // What had the focus before a dialog may have gone meanwhile: then it is left with what nobody sees any more.
  const closed = ({ target }: Event): void => {
    const { activeElement } = document
    if (activeElement instanceof HTMLElement && activeElement.closest("dialog") === target) activeElement.blur()
    giveBack()
  }
  document.addEventListener("close", closed, { capture: true })
  new MutationObserver(giveBack).observe(document.body, { childList: true, subtree: true })
  document.addEventListener("keydown", ({ key, target }) => {
    // What lies on top is closed by the browser, and alone.
    if (key !== "Escape" || isWrittenIn(target) || document.querySelector("dialog[open]") !== null) return
    document.querySelector<HTMLElement>('main a[aria-label="Close"]')?.click()
  })
}
