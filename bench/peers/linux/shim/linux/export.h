/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHIM_EXPORT_H
#define SHIM_EXPORT_H

#define EXPORT_SYMBOL(symbol)
#define EXPORT_SYMBOL_GPL(symbol)

#endif /* SHIM_EXPORT_H */
