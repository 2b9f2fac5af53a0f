// How a number is written for people, as engine/domain/numbers.py does: a true minus sign, never a negative zero.

function decimal(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** `+0.87`, `−0.52`; `0.00` has no sign. */
function signed(value, digits = 2) {
  const text = decimal(value, digits);
  return text.startsWith("−") || Number(text) === 0 ? text : `+${text}`;
}

/** A share from 0 to 1: `82%`; what is not quite nothing or all is `<1%` or `>99%`. */
function percent(share) {
  const text = (100 * Math.abs(share)).toFixed(0);
  if (share > 0 && share < 1 && text === "0") return "<1%";
  if (share > 0 && share < 1 && text === "100") return ">99%";
  return share < 0 && text !== "0" ? `−${text}%` : `${text}%`;
}

/** What two numbers differ by as they are written, so that the three of them agree. */
function difference(before, after, digits) {
  return Number(after.toFixed(digits)) - Number(before.toFixed(digits));
}
