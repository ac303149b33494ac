/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHIM_TRACE_MAPLE_TREE_H
#define SHIM_TRACE_MAPLE_TREE_H

#define tracepoint_string(text)                   (text)
#define trace_ma_op(function, state)              ((void)0)
#define trace_ma_read(function, state)            ((void)0)
#define trace_ma_write(function, state, piv, val) ((void)0)

#endif /* SHIM_TRACE_MAPLE_TREE_H */
