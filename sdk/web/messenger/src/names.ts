/** What a user is called where only the id is known: `ada-lovelace` is Ada Lovelace. */
export function nameOf(user: string): string {
  const words = user.split(/[-._\s]+/u).filter((word) => word !== '');
  return words.map((word) => word.charAt(0).toLocaleUpperCase() + word.slice(1)).join(' ') || user;
}
