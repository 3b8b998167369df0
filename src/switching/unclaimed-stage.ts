// Whose a sound packet is that no service and no connection of TCP or UDP has claimed: an echo of a connection
// whose source is translated, the control host's (by its device, or by an interface of the kernel's: there is
// one of the two at the most), or one that is only to be forwarded. In this order, because an address can be
// the control host's and stand for hosts behind us too.

import type { MainMemory } from '../memory/region.ts';
import type { ConnectionTable } from '../tables/connection-table.ts';
import { hasControlPairs } from '../tables/control-pairs.ts';
import type { ConnectionPackets } from './connection-packets.ts';
import { ControlInterfaceStage } from './control-interface-stage.ts';
import { ControlStage, isNotOurIcmp } from './control-stage.ts';
import { ForwardingStage } from './forwarding-stage.ts';
import type { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';
import type { RouterErrors } from './router-errors.ts';
import { SourceNat } from './source-nat.ts';
import type { WayOut } from './way-out.ts';

export class UnclaimedStage {
  readonly control: ControlStage;
  readonly controlInterface: ControlInterfaceStage;
  private readonly memory: MainMemory;
  private readonly sourceNat: SourceNat;
  private readonly forwarding: ForwardingStage;

  constructor(
    memory: MainMemory,
    connections: ConnectionTable,
    packets: ConnectionPackets,
    wayOut: WayOut,
    errors: RouterErrors,
  ) {
    this.memory = memory;
    this.control = new ControlStage(memory, wayOut);
    this.controlInterface = new ControlInterfaceStage(memory, connections, wayOut, errors);
    this.sourceNat = new SourceNat(memory, connections, packets, wayOut);
    this.forwarding = new ForwardingStage(memory, wayOut, errors, this.sourceNat);
  }

  /**
   * @param otherwise the reason under which it ends if it is nobody's
   * @returns a reason or WAITING. @hot
   */
  claim(context: PacketContext, otherwise: number, configuration: number, nowMs: number): number {
    if (isNotOurIcmp(otherwise)) {
      const echoed = this.sourceNat.forwardEcho(context, nowMs);
      if (echoed !== reasons.CONTINUE) return echoed;
    }
    const claimed = hasControlPairs(this.memory.words, configuration)
      ? this.controlInterface.claim(context, otherwise, configuration, nowMs)
      : this.control.claim(context, otherwise, configuration, nowMs);
    if (claimed !== otherwise) return claimed;
    return this.forwarding.claim(context, otherwise, configuration, nowMs);
  }

  /** To the control host, if it is for it, whatever its source is. @hot */
  give(context: PacketContext, otherwise: number, configuration: number, nowMs: number): number {
    return hasControlPairs(this.memory.words, configuration)
      ? this.controlInterface.give(context, otherwise, configuration, nowMs)
      : this.control.give(context, configuration, otherwise);
  }
}
