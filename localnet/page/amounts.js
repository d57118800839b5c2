// Amounts, which are texts: browsers' numbers are not as large.

import { make } from "../pages/dom.js";

const DECIMALS = 18;

/** Digits in groups of three, between which a line may break. */
export const grouped = (digits) => String(digits).replace(/\B(?=(\d{3})+$)/g, "\u2009");

/** An amount of wei as GEN, exact: "1 000 000", "0.000 000 000 000 000 001". */
export function inGen(wei) {
  const digits = String(wei).padStart(DECIMALS + 1, "0");
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, "");
  return grouped(digits.slice(0, -DECIMALS)) + (fraction && `.${fraction.replace(/(\d{3})(?=\d)/g, "$1\u2009")}`);
}

/** Both. */
export const amountParts = (wei) => [make("span", { class: "digits" }, `${inGen(wei)} GEN`), make("small", { class: "digits muted" }, `${grouped(wei)} wei`)];
