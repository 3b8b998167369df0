// Why an aim is missed, as profiling has shown: text for the document, by the aim's own words. What has
// not been looked into has no reason here, and none is invented.

const REASONS: Readonly<Record<string, string>> = {
  'af-xdp forwards 1.5 times what nftables does, per core':
    'of the time that a packet takes on the core (`perf record` over all of it) 60 to 70 % is the ' +
    'kernel sending it: AF_XDP in copy mode makes an skb of each frame, sends each by itself and wakes ' +
    'the receiver’s thread on the other CPU, in a virtual machine the dearest single step (10 to 22 %). ' +
    'Another fifth is the kernel’s half of receiving, which nftables does in the same pass as all else, ' +
    'while weir is woken for it. Zero-copy drivers have neither; polling the interface from weir itself ' +
    '(SO_PREFER_BUSY_POLL) would save the waking, but a veth of this kernel gives its sockets no NAPI id ' +
    '(SO_INCOMING_NAPI_ID is 0), so it could not be tried',
  'af-xdp forwards 0.85 times what its C twin does':
    'with both of the kernel’s halves on their core, who takes longer for what the ring holds loses more ' +
    'of what comes meanwhile, so that a difference in the filter counts more than once',
  'the filter takes at most 1.5 times as long as in C, with 64 k and 1 M connections':
    'the machine code that V8 makes checks at each step: 288 exits to the interpreter in the code of a ' +
    'burst, 69 for the shape of an object, 63 for an index, 61 for an overflow, 58 for a small integer, ' +
    '37 for the function that is called (counted while each file was a module of its own). That is the ' +
    'factor at 1,024 connections; above that, memory: JavaScript has no prefetch instruction, ' +
    'and a plain read in its place holds back what stands behind it until the memory answers. Tried: ' +
    'fetching the record by a store, which does not wait, took off another 12 % (149 instead of 170 ns ' +
    'with the making of packets, 65,536 connections), but there is no word in the record to spare for it ' +
    'without letting strangers’ packets keep connections alive; stores into typed arrays instead of ' +
    'DataViews changed nothing',
  'a new connection takes at most half the CPU time that HAProxy and nginx take':
    'at these rates nearly every packet comes alone, and a connection with one request has about ten ' +
    'that pass weir: each is woken for, received, sent and slept after by itself, in the ' +
    'kernel at several times the cost of switching it. A proxy sees a few events in the place of them, ' +
    'because the kernel’s TCP answers for it. Sleeping after one empty turn instead of 24 took off ' +
    'nearly half',
  'sleeping when idle, weir adds no more to the 99th percentile than HAProxy and nginx':
    'not profiled. What can be seen: the rows differ from round to round by more than the contenders do, ' +
    'since client, servers and the other host’s receiving share one CPU, and at some rates only one ' +
    'round of weir’s was complete',
  'busy polling, weir adds at most half of what HAProxy and nginx add to it':
    'not profiled. What can be seen: the worst rows, weir’s and the proxies’, are of the size of TCP’s ' +
    'retransmission timers (200 ms and more), so packets were lost there, where the client’s CPU is full',
  'no gap in forwarding of more than 1 ms on a flip':
    'with two CPUs the control processor parses and writes tables on the CPU of generator and receiver, ' +
    'whose own gap without any flip is above 1 ms already. The switching processor itself does not ' +
    'pause: its longest turn in the seconds after a flip was 82 to 466 microseconds, with 65,536 ' +
    'connections in memory, four flips of the configuration and four of the routes',
};

/** The reason, or undefined where none is known. */
export function reasonFor(aim: string): string | undefined {
  return REASONS[aim];
}

/** The aims that have reasons, so that a test can see that each is still an aim. */
export function aimsWithReasons(): string[] {
  return Object.keys(REASONS);
}
