// How much V8 may inline. A packet's way leads through some thirty small functions, each of which reads
// well and costs nothing once it is inlined; but V8's default budget ends a third of the way, and what
// is left are calls. To be imported before anything that switches packets, since code that has been
// optimised already keeps its form.
// Measured with bench/micro/filter.ts at 1,024 connections: 190 ns a packet with the defaults, 135 with
// these (Node 20.20).

import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--max-inlined-bytecode-size-cumulative=5000');
setFlagsFromString('--max-inlined-bytecode-size=2000');
