// What the media relay's control part is told: by the configuration (control/config/media-relay-checks.ts)
// and by the control processor. Everything is checked and complete: no default is applied behind it, and a
// change of any of it makes another control part.

export interface RelayInterface {
  /** As in `direction` of the ng protocol: external, internal … */
  readonly name: string;
  /** One of weir's own addresses, to which media is sent. */
  readonly address: string;
  /** What stands in session descriptions in its place, where a NAT is before weir. */
  readonly advertise: string;
}

export interface RelaySettings {
  /** At least one; the first is taken where none is asked for. */
  readonly interfaces: readonly RelayInterface[];
  readonly firstPort: number;
  readonly lastPort: number;
  /** Where the ng protocol is listened for: an address of the kernel's. */
  readonly ng: {
    readonly address: string;
    readonly port: number;
    readonly allow: readonly string[];
  };
  /** A call without any packet ends after it. */
  readonly timeoutMs: number;
  /** A call that is on hold ends after it. */
  readonly silentTimeoutMs: number;
  readonly latchWindowMs: number;
  /** 0: another SSRC from the right address is always taken. */
  readonly ssrcGuardMs: number;
}

export interface RelayLog {
  info(message: string): void;
  warning(message: string): void;
}
