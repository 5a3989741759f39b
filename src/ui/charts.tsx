/**
 * Figures over time: a large chart, and a line without axes.
 */
import type { ComponentChildren, JSX, RefObject } from "preact"
import { useEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import { dayOf, hourOf, timeOf } from "./words.ts"

interface ChartProps {
  readonly label: string
  /** Seconds since 1970. */
  readonly at: ReadonlyArray<number>
  readonly lines: ReadonlyArray<{
    readonly name: string
    readonly values: ReadonlyArray<number>
    readonly color: string
  }>
}

const chartHeight = 160

// What is drawn is at least so long.
const leastSeconds = 60

const colorOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

const axis = { stroke: () => colorOf("--dim"), grid: { stroke: () => colorOf("--line"), width: 1 } }

// Half of the last time under it has room to its right; the other sides are as wide as what stands there.
const sides: uPlot.Padding = [null, 44, null, null]

type Shape = Pick<uPlot.Options, "axes" | "scales" | "series">

/** The place of a plot as wide as itself, made when `of` is another and drawn anew when `changed` is; `data` has the times first. */
const usePlot = (
  shape: Shape,
  [times, ...lines]: readonly [ReadonlyArray<number>, ...ReadonlyArray<ReadonlyArray<number>>],
  of: ReadonlyArray<unknown>,
  changed: ReadonlyArray<unknown>
): RefObject<HTMLDivElement | null> => {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const data = (): uPlot.AlignedData => [[...times], ...lines.map((values) => [...values])]
  useEffect(() => {
    const element = place.current
    if (element === null) return undefined
    const still = { legend: { show: false }, cursor: { show: false }, padding: sides }
    const made = new uPlot({ width: element.clientWidth, height: chartHeight, ...still, ...shape }, data(), element)
    plot.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: chartHeight }))
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
    }
  }, of)
  useEffect(() => {
    plot.current?.setData(data())
  }, changed)
  return place
}

/** Lines over time. */
export const Chart = ({ at, label, lines }: ChartProps): JSX.Element => {
  const shape: Shape = {
    scales: {
      x: { range: (_, first, last) => [Math.min(first, last - leastSeconds), last] },
      y: { range: (_, __, most) => [0, Math.max(1, most)] }
    },
    axes: [
      { ...axis, values: (_, seconds) => seconds.map((each) => timeOf(each * 1000)), space: 90 },
      { ...axis, size: 44 }
    ],
    series: [
      {},
      ...lines.map(({ color, name }) => ({
        label: name,
        width: 1.5,
        points: { show: false },
        stroke: () => colorOf(color)
      }))
    ]
  }
  const place = usePlot(shape, [at, ...lines.map(({ values }) => values)], [], [at])
  const latest = lines.map(({ name, values }) => `${name} ${values.at(-1)?.toFixed(1) ?? "0"}`).join(", ")
  return (
    <figure class="chart">
      <figcaption>
        {lines.map(({ color, name }) => (
          <span key={name}>
            <i style={{ background: `var(${color})` }} /> {name}
          </span>
        ))}
      </figcaption>
      <div ref={place} role="img" aria-label={`${label}: ${latest}`} />
    </figure>
  )
}

const width = 120
const height = 24

/** A line of the last values. */
export const Spark = ({
  label,
  values
}: {
  readonly label: string
  readonly values: ReadonlyArray<number>
}): JSX.Element => {
  const most = Math.max(1, ...values)
  const step = width / Math.max(1, values.length - 1)
  const points = values.map(
    (value, place) => `${(place * step).toFixed(1)},${(height - (value / most) * (height - 2) - 1).toFixed(1)}`
  )
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points.join(" ")} fill="none" vector-effect="non-scaling-stroke" />
    </svg>
  )
}

interface BarsProps {
  readonly label: string
  /** Where each hour or day begins, in seconds since 1970. */
  readonly at: ReadonlyArray<number>
  readonly values: ReadonlyArray<number>
  readonly words: (value: number) => string
  readonly step: "hour" | "day"
}

const barPaths = uPlot.paths.bars?.({ size: [0.8, 60], align: 1 })

/** A bar for each hour or day. */
export const Bars = ({ at, label, step, values, words }: BarsProps): JSX.Element => {
  const stepSeconds = step === "hour" ? 3600 : 86_400
  // Days are those of UTC.
  const nameOf = (seconds: number): string => (step === "hour" ? hourOf(seconds * 1000) : dayOf(seconds * 1000))
  const shape: Shape = {
    scales: {
      x: { range: (_, first, last) => [first, last + stepSeconds] },
      y: { range: (_, __, most) => [0, most === 0 ? 1 : most] }
    },
    axes: [
      {
        ...axis,
        values: (_, seconds) => seconds.map(nameOf),
        space: 90,
        incrs: [1, 2, 6, 7, 12, 14, 24].map((each) => each * stepSeconds)
      },
      { ...axis, size: 70, values: (_, all) => all.map(words) }
    ],
    series: [
      {},
      {
        label,
        points: { show: false },
        fill: () => colorOf("--blue"),
        stroke: () => colorOf("--blue"),
        ...(barPaths === undefined ? {} : { paths: barPaths })
      }
    ]
  }
  const place = usePlot(shape, [at, values], [label], [at[0], at.length, values.join()])
  const most = Math.max(0, ...values)
  const when = at[values.indexOf(most)] ?? 0
  return (
    <figure class="chart">
      <figcaption>{label}</figcaption>
      <div
        ref={place}
        role="img"
        aria-label={`${label}: at most ${words(most)}${most === 0 ? "" : ` at ${nameOf(when)}`}`}
      />
    </figure>
  )
}

/** How full something is, from 0 to 1 and beyond; in words beside it. */
export const FillBar = ({
  label,
  level = "fine",
  share
}: {
  readonly share: number
  readonly label: ComponentChildren
  readonly level?: "fine" | "high" | "full"
}): JSX.Element => (
  <div class={`meter ${level}`}>
    <i style={{ width: `${Math.max(0, Math.min(100, share * 100))}%` }} />
    <span>{label}</span>
  </div>
)
