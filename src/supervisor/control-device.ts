// The pseudo-network device (57 of Fig. 8): makes the TAP device, puts it into its namespace, gives it the
// control addresses, and looks after it. The descriptor is opened once and inherited by every process that
// may keep the device alive; a device that was deleted from outside, or went with its namespace, is made
// anew on the same descriptor, so that nobody has to be started again.
// Who sets it down is left alone; when it is set up again, it gets its routes again, which the kernel takes
// away meanwhile.
// Invariant: its block in main memory says "up" only while there is a device with all its settings.

import { isDeepStrictEqual } from 'node:util';
import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import {
  CONTROL_INTERFACE,
  INTERFACE_INDEX,
  INTERFACE_KIND,
  INTERFACE_LINK_UP,
  INTERFACE_MAC_HIGH,
  INTERFACE_MAC_LOW,
  INTERFACE_MODE,
  INTERFACE_MTU,
  INTERFACE_NAME,
  INTERFACE_REOPENED,
} from '../memory/layout.ts';
import { HOST_MAC, PEER_MAC } from '../memory/packet-storage.ts';
import type { MainMemory } from '../memory/region.ts';
import { INTERFACE_KINDS, INTERFACE_MODES } from '../netif/contract.ts';
import { closeFd } from '../sys/libc.ts';
import { isLinkUp, readLink } from '../sys/link.ts';
import { type LinkAddress, type LinkSettings, moveLink, setUpLink } from '../sys/link-setup.ts';
import {
  identityOf,
  inNamespace,
  namespaceIdentity,
  openNamespace,
} from '../sys/network-namespace.ts';
import { hasTap, makeTap, openTapNamespace } from '../sys/tap.ts';

/** How soon a device that is gone is noticed, and how often it is tried to make it anew. */
const LOOK_INTERVAL_MS = 200;
/** Frames that wait in the device for the daemon: some milliseconds of them. */
const QUEUE_LENGTH = 2000;
/** The gateway of the device's routes: of no network, answered for by the switch. RFC 3927 §2. */
const GATEWAY = Uint8Array.of(169, 254, 87, 69);

/** The device as the configuration asks for it; fixed when weir starts. */
export interface ControlDeviceSettings {
  readonly device: string;
  /** '10.1.0.1/24' */
  readonly addresses: readonly string[];
  readonly mtu: number;
  /** Networks behind it: '10.0.0.0/8' or 'default'. */
  readonly routes: readonly string[];
  readonly namespace?: string | undefined;
}

/** What the supervisor keeps of it, and a supervisor that takes over is told. */
export interface ControlDeviceParts {
  readonly settings: ControlDeviceSettings;
  readonly deviceFileDescriptor: number;
  /** Wakes the interface daemon. */
  readonly daemonEventFileDescriptor: number;
}

type DeviceState = 'up' | 'down' | 'gone';

export class ControlDevice {
  private readonly memory: MainMemory;
  private readonly settings: ControlDeviceSettings;
  private readonly fileDescriptor: number;
  private readonly log: Log;
  private lastTrouble = '';
  /** Whether it had all its settings when it was last looked at, also while it is set down. */
  private hasSettings: boolean;

  constructor(
    memory: MainMemory,
    settings: ControlDeviceSettings,
    fileDescriptor: number,
    log: Log,
  ) {
    this.memory = memory;
    this.settings = settings;
    this.fileDescriptor = fileDescriptor;
    this.log = log;
    this.hasSettings = this.isUp();
  }

  /** Makes the device for the first time. @throws WeirError when it cannot be had as configured */
  make(): void {
    const { memory, settings } = this;
    this.set(INTERFACE_KIND, INTERFACE_KINDS.indexOf('packet-storage'));
    this.set(INTERFACE_MODE, INTERFACE_MODES.indexOf('memory'));
    const peer = new DataView(PEER_MAC.buffer);
    this.set(INTERFACE_MAC_HIGH, peer.getUint16(0));
    this.set(INTERFACE_MAC_LOW, peer.getInt32(2));
    this.set(INTERFACE_MTU, settings.mtu);
    const start = memory.interfaceWord(CONTROL_INTERFACE, INTERFACE_NAME) * 4;
    memory.bytes.set(Buffer.from(settings.device, 'ascii').subarray(0, 15), start);
    this.makeNow();
    const { device, namespace, addresses } = settings;
    const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
    this.log.info(`${device}${where}: pseudo-network device with ${addresses.join(', ')}`);
  }

  /** Looks after it from now on. */
  watch(): void {
    setInterval(() => this.look(), LOOK_INTERVAL_MS);
  }

  /** Looks once, and makes what is missing. */
  look(): void {
    const { device } = this.settings;
    let isTheSame = false;
    try {
      const state = this.state();
      if (state === 'up' && this.isUp()) return;
      this.noteLoss(state);
      isTheSame = this.hasSettings;
      if (state === 'down' && isTheSame) return;
      this.makeNow();
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      // Said once, not five times a second.
      if (error.message === this.lastTrouble) return;
      this.lastTrouble = error.message;
      this.log.warning(`${device}: cannot be made anew yet: ${error.message}`);
      return;
    }
    this.lastTrouble = '';
    if (isTheSame) {
      this.log.info(`${device}: the pseudo-network device is up again`);
      return;
    }
    const reopened = this.memory.interfaceWord(CONTROL_INTERFACE, INTERFACE_REOPENED);
    Atomics.add(this.memory.words, reopened, 1);
    this.log.warning(`${device}: the pseudo-network device was made anew`);
  }

  private noteLoss(state: DeviceState): void {
    if (state === 'gone') this.hasSettings = false;
    if (!this.isUp()) return;
    const how = state === 'down' ? 'was set down' : 'is gone, or its namespace';
    this.log.warning(`${this.settings.device}: the pseudo-network device ${how}`);
    this.set(INTERFACE_LINK_UP, 0);
  }

  /** Makes what is missing. */
  private makeNow(): void {
    const { settings, fileDescriptor: fd } = this;
    const { device, namespace } = settings;
    if (namespace === undefined) {
      if (!hasTap(fd)) makeTap(fd, device);
      this.setUp();
      return;
    }
    const namespaceFd = openNamespace(namespace);
    try {
      if (!hasTap(fd)) makeTap(fd, device);
      this.moveTo(namespaceFd);
      inNamespace(namespaceFd, () => this.setUp());
    } finally {
      closeFd(namespaceFd);
    }
  }

  private moveTo(namespaceFd: number): void {
    const { device } = this.settings;
    const present = openTapNamespace(this.fileDescriptor);
    try {
      if (identityOf(present) === identityOf(namespaceFd)) return;
      inNamespace(present, () => {
        moveLink(readLink(device).index, namespaceFd, `interface ${device}`);
      });
    } finally {
      closeFd(present);
    }
  }

  private setUp(): void {
    const { settings } = this;
    const { index } = readLink(settings.device);
    const { device, routes } = settings;
    const behind = setUpLink(index, linkSettings(settings), `interface ${device}`);
    for (const route of behind) {
      const text = routes.find((each) => isDeepStrictEqual(parsePrefix(each), route));
      this.log.warning(`${device}: another interface has a route to ${text}, which goes first`);
    }
    this.hasSettings = true;
    this.set(INTERFACE_INDEX, index);
    this.set(INTERFACE_LINK_UP, 1);
  }

  /**
   * A device in another namespace than the name stands for now is gone; one whose namespace has only lost
   * its name may live on. What was renamed or moved by hand cannot be looked at, and counts as up.
   */
  private state(): DeviceState {
    const { device, namespace } = this.settings;
    const isUp = () => isLinkUp(device) !== false;
    if (!hasTap(this.fileDescriptor)) return 'gone';
    if (namespace === undefined) return isUp() ? 'up' : 'down';
    let present: number;
    try {
      present = openTapNamespace(this.fileDescriptor);
    } catch {
      // Its namespace is being taken down just now.
      return 'gone';
    }
    try {
      const wanted = namespaceIdentity(namespace);
      if (wanted !== undefined && identityOf(present) !== wanted) return 'gone';
      return inNamespace(present, isUp) ? 'up' : 'down';
    } finally {
      closeFd(present);
    }
  }

  private isUp(): boolean {
    const word = this.memory.interfaceWord(CONTROL_INTERFACE, INTERFACE_LINK_UP);
    return this.memory.words[word] !== 0;
  }

  private set(word: number, value: number): void {
    const index = this.memory.interfaceWord(CONTROL_INTERFACE, word);
    Atomics.store(this.memory.words, index, value);
  }
}

function parsePrefix(text: string): LinkAddress {
  if (text === 'default') return { address: new Uint8Array(4), prefixLength: 0 };
  const [address, prefixLength] = text.split('/');
  return {
    address: Uint8Array.from(address.split('.'), Number),
    prefixLength: Number(prefixLength),
  };
}

function linkSettings({ mtu, addresses, routes }: ControlDeviceSettings): LinkSettings {
  return {
    mac: HOST_MAC,
    mtu,
    queueLength: QUEUE_LENGTH,
    addresses: addresses.map(parsePrefix),
    routes: routes.map(parsePrefix),
    gateway: GATEWAY,
  };
}
