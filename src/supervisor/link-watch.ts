// Follows the links of our interfaces by netlink events and keeps what main memory says of them true:
// state, MAC address, MTU. An interface that was deleted and made anew under its name is opened again,
// as it was; until that works it counts as down, and it is tried again every half second.

import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { INTERFACE_INDEX, INTERFACE_LINK_UP, INTERFACE_REOPENED } from '../memory/layout.ts';
import { type LinkState, readLink } from '../sys/link.ts';
import { watchLinks } from '../sys/netlink.ts';
import { noteLink } from './interface-block.ts';
import type { InterfaceOpener } from './open-interfaces.ts';
import type { Supervisor } from './supervisor.ts';

const REOPEN_INTERVAL_MS = 500;

export class LinkWatch {
  private readonly supervisor: Supervisor;
  private readonly opener: InterfaceOpener;
  private readonly log: Log;
  private retry: NodeJS.Timeout | undefined;

  constructor(supervisor: Supervisor, opener: InterfaceOpener, log: Log) {
    this.supervisor = supervisor;
    this.opener = opener;
    this.log = log;
  }

  /** Looks at all links once, then at each that changes. */
  start(): void {
    const { interfaceNames } = this.supervisor.machine;
    watchLinks(
      ({ name }) => {
        const interfaceNumber = interfaceNames.indexOf(name);
        if (interfaceNumber >= 0) this.look(interfaceNumber);
      },
      () => this.lookAtAll(),
    );
    this.lookAtAll();
  }

  private lookAtAll(): void {
    for (const i of this.supervisor.machine.interfaceNames.keys()) this.look(i);
  }

  private look(interfaceNumber: number): void {
    const { memory, interfaceNames } = this.supervisor.machine;
    const name = interfaceNames[interfaceNumber];
    const upWord = memory.interfaceWord(interfaceNumber, INTERFACE_LINK_UP);
    const wasUp = memory.words[upWord];
    const link = this.read(name);
    const known = memory.words[memory.interfaceWord(interfaceNumber, INTERFACE_INDEX)];
    if (link === undefined) Atomics.store(memory.words, upWord, 0);
    else if (link.index === known) noteLink(memory, interfaceNumber, link);
    else this.reopen(interfaceNumber, name);
    const isUp = memory.words[upWord];
    if (wasUp === isUp) return;
    const state = link === undefined ? 'is gone' : `link ${isUp === 0 ? 'down' : 'up'}`;
    this.log.warning(`${name}: ${state}`);
  }

  private read(name: string): LinkState | undefined {
    try {
      return readLink(name);
    } catch (error) {
      if (error instanceof WeirError) return undefined;
      throw error;
    }
  }

  /** Another interface under a known name. */
  private reopen(interfaceNumber: number, name: string): void {
    const { memory, interfaces } = this.supervisor.machine;
    Atomics.store(memory.words, memory.interfaceWord(interfaceNumber, INTERFACE_LINK_UP), 0);
    clearTimeout(this.retry);
    try {
      const parts = this.opener.reopen(interfaces[interfaceNumber]);
      Atomics.add(memory.words, memory.interfaceWord(interfaceNumber, INTERFACE_REOPENED), 1);
      this.log.warning(`${name}: was made anew and is open again`);
      this.supervisor.replaceInterface(interfaceNumber, parts);
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      this.log.warning(`${name}: was made anew and cannot be opened yet: ${error.message}`);
      this.retry = setTimeout(() => this.lookAtAll(), REOPEN_INTERVAL_MS);
    }
  }
}
