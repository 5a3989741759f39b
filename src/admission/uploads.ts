/**
 * Bounds on the bodies that clients are sending, so that slow and large ones take the place of no other request.
 */
import { Overloaded } from "../domain/errors.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import { type SetMember, IntrusiveSet } from "../domain/intrusive-set.ts"

/** What bounds the bodies of all clients together. */
export interface UploadLimits {
  /** Bodies that may be on their way in at a time. */
  readonly maxUploads: number
  /** Bytes of bodies that may be held at a time, from their arrival to the end of their answer. */
  readonly maxUploadBytes: number
  /** The part of both that one client address may take, from 0 to 1. */
  readonly uploadShare: number
  /** The largest body, which is taken whatever the other bounds when no other is held. */
  readonly maxBodyBytes: number
}

// Bodies up to this size are not counted by their bytes: there is always room for a request of the usual size.
const uncountedBytes = 64 * 1024

const mega = 1_048_576

/** Who knows the address that a request comes from. */
export interface PeerSource {
  readonly peer: (request: Request) => string | undefined
}

/** A body from the head of its request to the end of the answer. */
export class Upload implements SetMember {
  place = -1
  /** Why it is refused unless it comes without delay: as many as may be are on their way. */
  crowded: Overloaded | undefined
  private readonly uploads: Uploads
  private readonly server: PeerSource
  private readonly request: Request
  private knownPeer: string | undefined
  /** What is counted of it. */
  bytes = 0

  constructor(uploads: Uploads, server: PeerSource, request: Request) {
    this.uploads = uploads
    this.server = server
    this.request = request
  }

  /** The address it comes from: asked for only when somebody has to be told from somebody else. */
  get peer(): string {
    return (this.knownPeer ??= this.server.peer(this.request) ?? "")
  }

  /** Counts a body that has grown to this size, or says why it may not. */
  grow(size: number): Overloaded | undefined {
    return size > uncountedBytes && size > this.bytes ? this.uploads.hold(this, size) : undefined
  }

  /** Counts a body of which no more than this is held now. */
  shrink(size: number): void {
    if (size < this.bytes) this.uploads.release(this, size > uncountedBytes ? size : 0)
  }

  /** It is there. */
  arrived(): void {
    this.uploads.arrived(this)
  }

  /** Nobody needs it any more. */
  end(): void {
    this.uploads.end(this)
  }
}

/** All bodies of a process. */
export class Uploads {
  private readonly limits: () => UploadLimits
  private readonly random: () => number
  private readonly coming = new IntrusiveSet<Upload>()
  private readonly large = new Set<Upload>()
  private heldBytes = 0

  constructor(limits: () => UploadLimits, random: () => number) {
    this.limits = limits
    this.random = random
  }

  /** Takes in a body of this length, where its head tells one, or says why not. */
  begin(length: number, server: PeerSource, request: Request): Upload | Overloaded {
    const { maxBodyBytes, maxUploads, uploadShare } = this.limits()
    const { size } = this.coming
    const upload = new Upload(this, server, request)
    const share = Math.max(1, Math.floor(maxUploads * uploadShare))
    if (size >= maxUploads) {
      upload.crowded = this.full(
        `Nexus is taking in ${maxUploads} request bodies already (server.max_concurrent_uploads)`
      )
      // Nobody has more than there are.
    } else if (size >= share && this.countOf(upload.peer) >= share) {
      upload.crowded = this.full(
        `Nexus is taking in ${share} request bodies from this address already (server.upload_share_percent of server.max_concurrent_uploads)`
      )
    }
    const refusal = length > maxBodyBytes ? undefined : upload.grow(length)
    if (refusal !== undefined) return refusal
    this.coming.add(upload)
    return upload
  }

  /** Counts a large body by this many bytes. */
  hold(upload: Upload, size: number): Overloaded | undefined {
    const { maxBodyBytes, maxUploadBytes, uploadShare } = this.limits()
    const most = Math.max(maxUploadBytes, maxBodyBytes)
    const held = this.heldBytes - upload.bytes + size
    if (held > most) {
      return this.full(
        `Nexus holds ${Math.floor(most / mega)} MB of request bodies, as much as it may (server.max_uploads_mb)`
      )
    }
    const share = Math.max(most * uploadShare, maxBodyBytes)
    if (held > share && this.bytesOf(upload.peer) - upload.bytes + size > share) {
      return this.full(
        `Nexus holds ${Math.floor(share / mega)} MB of request bodies from this address, as much as it may (server.upload_share_percent of server.max_uploads_mb)`
      )
    }
    this.heldBytes = held
    upload.bytes = size
    this.large.add(upload)
    return undefined
  }

  /** Counts a large body by this many bytes and no more. */
  release(upload: Upload, size: number): void {
    this.heldBytes -= upload.bytes - size
    upload.bytes = size
    if (size === 0) this.large.delete(upload)
  }

  /** It no longer counts among those that are on their way. */
  arrived(upload: Upload): void {
    this.coming.delete(upload)
  }

  /** Its bytes are no longer held. */
  end(upload: Upload): void {
    this.coming.delete(upload)
    if (!this.large.delete(upload)) return
    this.heldBytes -= upload.bytes
    upload.bytes = 0
  }

  private full(message: string): Overloaded {
    return new Overloaded({ message, retryAfterSeconds: jitteredWait(1, this.random) })
  }

  private countOf(peer: string): number {
    let count = 0
    this.coming.each((upload) => {
      if (upload.peer === peer) count += 1
    })
    return count
  }

  private bytesOf(peer: string): number {
    let bytes = 0
    for (const upload of this.large) if (upload.peer === peer) bytes += upload.bytes
    return bytes
  }
}
