/**
 * A long table of which only the rows that are seen are in the document: laying out rows is what costs.
 */
import type { ComponentChildren, JSX } from "preact"
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks"

/** A column: what stands above it, its width as a track of a grid, and what it shows of a row. */
export interface Column<Row> {
  readonly title: string
  readonly width: string
  /** Its width where there is little room; it is not shown there when absent. */
  readonly narrow?: string
  readonly cell: (row: Row) => ComponentChildren
  readonly align?: "end"
}

interface ListProps<Row> {
  readonly label: string
  readonly rows: ReadonlyArray<Row>
  readonly columns: ReadonlyArray<Column<Row>>
  readonly keyOf: (row: Row) => string
  readonly chosen?: string | undefined
  readonly onChoose?: (row: Row) => void
  readonly empty: string
  /** Rows come at the top all the time: what is looked at stays where it is, once somebody has scrolled or leads by keys. */
  readonly isGrowing?: boolean
}

const rowHeight = 34

/** A row by its key, and where it was; no key before somebody has been there. */
interface Mark {
  readonly key: string | undefined
  readonly place: number
}

/** Where a row is now; where it was when it has gone. */
const placeOf = <Row,>(rows: ReadonlyArray<Row>, keyOf: (row: Row) => string, { key, place }: Mark): number => {
  const row = rows[place]
  if (key === undefined || (row !== undefined && keyOf(row) === key)) return place
  const found = rows.findIndex((each) => keyOf(each) === key)
  return found < 0 ? Math.max(0, Math.min(rows.length - 1, place)) : found
}

// Up to this width, in pixels, there is little room.
const narrowest = 600

// Rows beyond those that are seen, so that scrolling shows no gap.
const spare = 8

// A blank would make two names of one.
const idOf = (list: string, key: string): string => `${list} ${key}`.replace(/[\t\n\f\r ]+/g, "·")

/**
 * The table; rows are chosen by a click, or by the arrows and Enter. The focus stays with the whole of it, which names the row
 * that the arrows have led to: rows come and go.
 */
export const VirtualList = <Row,>(props: ListProps<Row>): JSX.Element => {
  const { chosen, empty, isGrowing = false, keyOf, label, onChoose, rows } = props
  const frame = useRef<HTMLDivElement>(null)
  const list = useId()
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(600)
  const [isNarrow, setNarrow] = useState(window.innerWidth <= narrowest)
  const [mark, setMark] = useState<Mark>({ key: undefined, place: 0 })
  const looked = useRef<Mark>({ key: undefined, place: 0 })
  const at = placeOf(rows, keyOf, mark)
  useEffect(() => {
    const element = frame.current
    if (element === null) return undefined
    const watcher = new ResizeObserver(() => {
      setHeight(element.clientHeight)
      setNarrow(element.clientWidth <= narrowest)
    })
    watcher.observe(element)
    return () => watcher.disconnect()
  }, [])
  useLayoutEffect(() => {
    const element = frame.current
    if (!isGrowing || element === null) return
    const isLed = mark.key !== undefined && document.activeElement === element
    const { key, place } = looked.current
    const now = placeOf(rows, keyOf, looked.current)
    if (key !== undefined && now !== place && (isLed || element.scrollTop > 0)) {
      element.scrollTop += (now - place) * rowHeight
      setTop(element.scrollTop)
    }
    looked.current = markOf(isLed ? at : Math.floor(element.scrollTop / rowHeight))
  })
  const first = Math.max(0, Math.floor(top / rowHeight) - spare)
  const last = Math.min(rows.length, Math.ceil((top + height) / rowHeight) + spare)
  const columns = isNarrow ? props.columns.filter(({ narrow }) => narrow !== undefined) : props.columns
  const tracks = columns.map(({ narrow, width }) => (isNarrow ? narrow : width)).join(" ")
  const markOf = (place: number): Mark => {
    const row = rows[place]
    return { key: row === undefined ? undefined : keyOf(row), place }
  }
  const markAt = (place: number): void => setMark(markOf(place))
  const goTo = (place: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, place))
    markAt(next)
    const element = frame.current
    if (element === null) return
    if (next * rowHeight < element.scrollTop) element.scrollTop = next * rowHeight
    const end = (next + 1) * rowHeight - element.clientHeight + rowHeight
    if (end > element.scrollTop) element.scrollTop = end
  }
  const activeRow = rows[at]
  const keyed = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height / rowHeight) - 1)
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1
    }
    const step = steps[event.key]
    const row = rows[at]
    if (step !== undefined) goTo(step)
    else if ((event.key === "Enter" || event.key === " ") && row !== undefined && onChoose !== undefined) onChoose(row)
    else return
    event.preventDefault()
  }
  return (
    <div
      class={isNarrow ? "list narrow" : "list"}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={
        activeRow === undefined || at < first || at >= last ? undefined : idOf(list, keyOf(activeRow))
      }
      tabIndex={0}
      ref={frame}
      onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}
      onKeyDown={keyed}
    >
      <div class="row head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: tracks }}>
        {columns.map(({ align, title }) => (
          <span key={title} role="columnheader" class={align}>
            {title}
          </span>
        ))}
      </div>
      {rows.length === 0 ? <p class="empty">{empty}</p> : null}
      <div role="rowgroup" class="rows" style={{ height: `${rows.length * rowHeight}px` }}>
        {rows.slice(first, last).map((row, offset) => {
          const place = first + offset
          const key = keyOf(row)
          return (
            <div
              key={key}
              id={idOf(list, key)}
              role="row"
              aria-rowindex={place + 2}
              aria-selected={onChoose === undefined ? undefined : key === chosen}
              class={`row${key === chosen ? " chosen" : ""}${place === at ? " at" : ""}${onChoose === undefined ? "" : " can"}`}
              style={{ gridTemplateColumns: tracks, top: `${place * rowHeight}px` }}
              onClick={() => {
                markAt(place)
                onChoose?.(row)
              }}
            >
              {columns.map(({ align, cell, title }) => {
                const shown = cell(row)
                // What does not fit is told where the pointer rests.
                const whole = typeof shown === "string" ? shown : undefined
                return (
                  <span key={title} role="gridcell" class={align} title={whole}>
                    {shown}
                  </span>
                )
              })}
            </div>
          )
        })}
      </div>
    </div>
  )
}
