/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in for QEMU's header of this name: of late, there are more flags. */
#ifndef SYSTEM_MEMORY_H
#define SYSTEM_MEMORY_H

typedef enum {
    IOMMU_NONE = 0,
    IOMMU_RO = 1,
    IOMMU_WO = 2,
    IOMMU_RW = 3,
    IOMMU_EXEC = 4,
} IOMMUAccessFlags;

#endif
