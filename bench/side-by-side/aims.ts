export function findAims(_: unknown) {
  return [];
}
