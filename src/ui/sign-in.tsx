/**
 * Where a key is asked for.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { Alert } from "./alert.tsx"
import { callApi } from "./call-api.ts"
import { followAgain } from "./live.ts"

/** Has the browser forget the key; what any tab shows is gone with it. */
export const SignOut = (): JSX.Element => {
  const [why, setWhy] = useState("")
  const leave = async (): Promise<void> => {
    const answer = await callApi<unknown>("DELETE", "/ui/session")
    if (answer._tag === "Refused" && answer.status !== 401) return setWhy(answer.message)
    setWhy("")
    followAgain()
  }
  return (
    <>
      <button type="button" onClick={() => void leave()}>
        Sign out
      </button>
      <Alert why={why} />
    </>
  )
}

/** The form; the key goes into a cookie that no script can read. */
export const SignIn = (): JSX.Element => {
  const [key, setKey] = useState("")
  const [why, setWhy] = useState("")
  const enter = async (): Promise<void> => {
    const answer = await callApi<unknown>("POST", "/ui/session", undefined, key)
    setKey("")
    if (answer._tag === "Refused") return setWhy(answer.message)
    setWhy("")
    followAgain()
  }
  return (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault()
        void enter()
      }}
    >
      <h2>Sign in</h2>
      <p>
        This gateway takes a key. From another machine it has to be one with <code>admin = true</code>.
      </p>
      <label>
        Key
        <input
          type="password"
          autocomplete="off"
          value={key}
          onInput={({ currentTarget }) => setKey(currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={key === ""}>
        Sign in
      </button>
      <Alert why={why} />
    </form>
  )
}
