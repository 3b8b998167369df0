// The XDP program of a dedicated interface: every frame goes to the AF_XDP socket of the queue that
// it arrived on; where there is none (a queue that nobody opened, or weir not ready yet), to the
// kernel. In C it would read:
//   return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);

import { createMap, loadXdpProgram, MAP_TYPE_XSKMAP } from './bpf.ts';
import { BpfAssembler, R1, R2, R3 } from './bpf-assembler.ts';
import { closeFd } from './libc.ts';

/** Offset of rx_queue_index in struct xdp_md. */
const CONTEXT_QUEUE = 16;
const HELPER_REDIRECT_MAP = 51;
const XDP_PASS = 2;

export interface XdpProgram {
  readonly programFd: number;
  /** XSKMAP: queue → AF_XDP socket. */
  readonly mapFd: number;
}

export function dedicatedInstructions(mapFd: number): Uint8Array {
  return new BpfAssembler()
    .loadWord(R2, R1, CONTEXT_QUEUE)
    .loadMap(R1, mapFd)
    .move(R3, XDP_PASS)
    .call(HELPER_REDIRECT_MAP)
    .exit()
    .assemble();
}

/**
 * Creates the map and loads the program for one interface.
 * @param queues number of receive queues of the interface
 * @throws SystemError
 */
export function loadDedicatedProgram(queues: number): XdpProgram {
  const mapFd = createMap({
    type: MAP_TYPE_XSKMAP,
    keySize: 4,
    valueSize: 4,
    entries: queues,
    name: 'weir_sockets',
  });
  try {
    return { mapFd, programFd: loadXdpProgram(dedicatedInstructions(mapFd), 'weir_dedicated') };
  } catch (error) {
    closeFd(mapFd);
    throw error;
  }
}
