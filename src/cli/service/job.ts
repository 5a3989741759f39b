/**
 * What a service manager is told to run, and what it is told to do.
 */

/** Whose service it is: that of one user, or of the whole machine. */
export type ServiceScope = "user" | "system"

/** A gateway to be run as a service. */
export interface Job {
  /** The program, by its absolute path, and its arguments. */
  readonly command: readonly [string, ...ReadonlyArray<string>]
  readonly scope: ServiceScope
  /** Account of a system service; undefined leaves it to the manager. */
  readonly account: string | undefined
  /** Time it needs to end, in seconds. */
  readonly graceSeconds: number
  /** Whether its port is one that only root may take by default. */
  readonly lowPort: boolean
}

/** Where things are on this machine. */
export interface ServicePaths {
  readonly home: string
  /** Directory of the user's settings, such as `~/.config`. */
  readonly config: string
  /** Number of the user. */
  readonly uid: number
}

/** A program to run, with its arguments. */
export interface Step {
  readonly run: readonly [string, ...ReadonlyArray<string>]
  /** Whether what follows is done even when this fails. */
  readonly mayFail: boolean
}

/** One kind of service manager. */
export interface ServiceManager {
  readonly name: "systemd" | "launchd"
  /** The file that makes the service known. */
  readonly file: (scope: ServiceScope, places: ServicePaths) => string
  /** Its text. */
  readonly text: (job: Job, places: ServicePaths) => string
  /** Links to the file that the manager has made. */
  readonly links: (scope: ServiceScope, places: ServicePaths) => ReadonlyArray<string>
  /** Starts the service with the file as it is now; `known` when there was an earlier one. */
  readonly start: (scope: ServiceScope, places: ServicePaths, known: boolean) => ReadonlyArray<Step>
  /** Ends it, when the file and its links are gone. */
  readonly end: (scope: ServiceScope, places: ServicePaths) => ReadonlyArray<Step>
  /** What a person may want to know besides. */
  readonly hints: (scope: ServiceScope, places: ServicePaths) => ReadonlyArray<string>
  /** Where variables are put that the config speaks of; undefined when there is no such file. */
  readonly environment: (scope: ServiceScope, places: ServicePaths) => string | undefined
}

/** By these words a file is known as one that may be replaced and removed. */
export const writtenBy = "Written by `nexus service install`"

/** Seconds between the end of the grace and the end by force. */
export const marginSeconds = 10

/** Pause before a service that has failed is started again, in seconds. */
export const restartSeconds = 2

/** Files that may be open: two for each request under way. */
export const openFilesLimit = 65_536
