"""Known facts about the detectors of Ultralytics: figures measured on 8.4.190, and slots found in the YAMLs by hand."""

from __future__ import annotations

# stem -> rows of the head's inputs in the head's order, parameters, parameters that LSKA with k_size 7 after each input
# adds, and number of tensors; at scale n, or at the only scale
DETECTORS: dict[str, tuple[tuple[int, ...], int, int, int]] = {
    "yolo11-obb": ((16, 19, 22), 2_695_747, 93_632, 541),
    "yolo11-pose": ((16, 19, 22), 2_908_507, 93_632, 541),
    "yolo11-seg": ((16, 19, 22), 2_876_848, 93_632, 561),
    "yolo11": ((16, 19, 22), 2_624_080, 93_632, 499),
    "yoloe-11-seg": ((16, 19, 22), 5_258_054, 93_632, 654),
    "yoloe-11": ((16, 19, 22), 5_005_286, 93_632, 592),
    "yolo12-obb": ((14, 17, 20), 2_673_955, 93_632, 733),
    "yolo12-pose": ((14, 17, 20), 2_886_715, 93_632, 733),
    "yolo12-seg": ((14, 17, 20), 2_855_056, 93_632, 753),
    "yolo12": ((14, 17, 20), 2_602_288, 93_632, 691),
    "yolo26-depth": ((16, 19, 22), 5_174_945, 93_632, 528),
    "yolo26-obb": ((16, 19, 22), 2_715_614, 93_632, 792),
    "yolo26-p2": ((19, 22, 25, 28), 2_662_400, 95_200, 902),
    "yolo26-p6": ((21, 24, 27, 30), 4_063_872, 133_760, 962),
    "yolo26-pose": ((16, 19, 22), 3_747_554, 93_632, 879),
    "yolo26-seg": ((16, 19, 22), 3_126_280, 93_632, 844),
    "yolo26-sem": ((16, 13), 1_632_902, 23_744, 364),
    "yolo26": ((16, 19, 22), 2_572_280, 93_632, 708),
    "yoloe-26-seg": ((16, 19, 22), 5_615_540, 93_632, 958),
    "yoloe-26": ((16, 19, 22), 5_061_540, 93_632, 822),
    "rtdetr-l": ((21, 24, 27), 32_970_476, 209_664, 941),
    "rtdetr-resnet101": ((16, 19, 22), 61_917_260, 209_664, 1085),
    "rtdetr-resnet50": ((16, 19, 22), 42_925_132, 209_664, 779),
    "rtdetr-x": ((25, 28, 31), 67_467_852, 461_952, 1241),
    "yolov10b": ((16, 19, 22), 20_574_384, 611_584, 835),
    "yolov10l": ((16, 19, 22), 25_888_688, 611_584, 1027),
    "yolov10m": ((16, 19, 22), 16_576_768, 535_680, 799),
    "yolov10n": ((16, 19, 22), 2_775_520, 93_632, 595),
    "yolov10s": ((16, 19, 22), 8_128_272, 359_296, 619),
    "yolov10x": ((16, 19, 22), 31_808_960, 948_800, 1135),
    "yolov3-spp": ((27, 22, 15), 104_803_744, 1_406_720, 523),
    "yolov3-tiny": ((19, 15), 12_173_248, 340_736, 123),
    "yolov3": ((27, 22, 15), 103_754_144, 1_406_720, 517),
    "yolov5-p6": ((23, 26, 29, 32), 4_334_896, 133_760, 563),
    "yolov5": ((17, 20, 23), 2_654_816, 93_632, 427),
    "yolov6": ((19, 23, 27), 4_500_080, 25_312, 335),
    "yoloe-v8-seg": ((15, 18, 21), 5_791_174, 93_632, 510),
    "yoloe-v8": ((15, 18, 21), 5_538_406, 93_632, 448),
    "yolov8-ghost-p2": ((18, 21, 24, 27), 2_033_944, 95_200, 683),
    "yolov8-ghost-p6": ((20, 23, 26, 29), 2_901_100, 133_760, 737),
    "yolov8-ghost": ((15, 18, 21), 1_865_316, 93_632, 559),
    "yolov8-obb": ((15, 18, 21), 3_228_867, 93_632, 397),
    "yolov8-p2": ((18, 21, 24, 27), 3_354_144, 95_200, 437),
    "yolov8-p6": ((20, 23, 26, 29), 4_984_352, 133_760, 467),
    "yolov8-pose-p6": ((20, 23, 26, 29), 5_182_152, 133_760, 523),
    "yolov8-pose": ((15, 18, 21), 3_295_470, 93_632, 397),
    "yolov8-rtdetr": ((15, 18, 21), 9_643_868, 93_632, 485),
    "yolov8-seg-p6": ((20, 23, 26, 29), 5_302_816, 133_760, 543),
    "yolov8-seg": ((15, 18, 21), 3_409_968, 93_632, 417),
    "yolov8-world": ((15, 19, 22), 4_204_111, 93_632, 417),
    "yolov8-worldv2": ((15, 18, 21), 3_695_183, 93_632, 412),
    "yolov8": ((15, 18, 21), 3_157_200, 93_632, 355),
    "yolov9c-seg": ((15, 18, 21), 27_897_120, 611_584, 999),
    "yolov9c": ((15, 18, 21), 25_590_912, 611_584, 937),
    "yolov9e-seg": ((35, 38, 41), 60_512_800, 611_584, 1873),
    "yolov9e": ((35, 38, 41), 58_206_592, 611_584, 1811),
    "yolov9m": ((15, 18, 21), 20_216_160, 435_960, 907),
    "yolov9s": ((15, 18, 21), 7_318_368, 128_576, 1339),
    "yolov9t": ((15, 18, 21), 2_128_720, 34_592, 1339),
}

# name -> its slots, found in the YAML by hand: name (and other names), row, channels, and the rows that read it, if
# these are not all. For slots inside blocks: channels x bottlenecks.
SLOTS: dict[str, str] = {
    "yolov5n": """
        p3=td.p3 17 64 | p4 20 128 | p5=p5.head 23 256 | p3.head 17 64 >24 | p4.head 20 128 >24 | td.p4 13 128
        lateral.p3 4 64 >16 | lateral.p4 6 128 >12 | lateral.p5=sppf.post=backbone.p5 9 256 | sppf.pre 8 256
        inner.p3.insert 17 32x1 | inner.p3.replace 17 32x1 | inner.p4.insert 20 64x1 | inner.p4.replace 20 64x1
        inner.p5.insert 23 128x1 | inner.p5.replace 23 128x1
        down.p3 17 64 >18 | down.p4 20 128 >21 | up.p5 10 128 >11 | up.p4 14 64 >15
        fuse.p3=fuse.td.p3 16 128 | fuse.p4 19 128 | fuse.p5 22 256 | fuse.td.p4 12 256
        backbone.p2 2 32 | backbone.p3 4 64 | backbone.p4 6 128
    """,
    "yolov8n": """
        p3=td.p3 15 64 | p4 18 128 | p5=p5.head 21 256 | p3.head 15 64 >22 | p4.head 18 128 >22 | td.p4 12 128
        lateral.p3 4 64 >14 | lateral.p4 6 128 >11 | lateral.p5=sppf.post=backbone.p5 9 256 | sppf.pre 8 256
        inner.p3.insert 15 32x1 | inner.p3.replace 15 32x1 | inner.p4.insert 18 64x1 | inner.p4.replace 18 64x1
        inner.p5.insert 21 128x1 | inner.p5.replace 21 128x1
        down.p3 15 64 >16 | down.p4 18 128 >19 | up.p5 9 256 >10 | up.p4 12 128 >13
        fuse.p3=fuse.td.p3 14 192 | fuse.p4 17 192 | fuse.p5 20 384 | fuse.td.p4 11 384
        backbone.p2 2 32 | backbone.p3 4 64 | backbone.p4 6 128
    """,
    "yolo11n": """
        p3=td.p3 16 64 | p4 19 128 | p5=p5.head 22 256 | p3.head 16 64 >23 | p4.head 19 128 >23 | td.p4 13 128
        lateral.p3 4 128 >15 | lateral.p4 6 128 >12 | lateral.p5=backbone.p5 10 256 | sppf.pre 8 256 | sppf.post 9 256
        inner.p3.insert 16 32x1 | inner.p3.replace 16 16x1 | inner.p4.insert 19 64x1 | inner.p4.replace 19 32x1
        inner.p5.insert 22 64x2 | inner.p5.replace 22 64x2
        down.p3 16 64 >17 | down.p4 19 128 >20 | up.p5 10 256 >11 | up.p4 13 128 >14
        fuse.p3=fuse.td.p3 15 256 | fuse.p4 18 192 | fuse.p5 21 384 | fuse.td.p4 12 384
        backbone.p2 2 64 | backbone.p3 4 128 | backbone.p4 6 128
    """,
    "yolo12n": """
        p3=td.p3 14 64 | p4 17 128 | p5=p5.head 20 256 | p3.head 14 64 >21 | p4.head 17 128 >21 | td.p4 11 128
        lateral.p3 4 128 >13 | lateral.p4 6 128 >10 | lateral.p5=backbone.p5 8 256
        inner.p3.insert 14 16x2 | inner.p3.replace 14 16x2 | inner.p4.insert 17 32x2 | inner.p4.replace 17 32x2
        inner.p5.insert 20 64x2 | inner.p5.replace 20 64x2
        down.p3 14 64 >15 | down.p4 17 128 >18 | up.p5 8 256 >9 | up.p4 11 128 >12
        fuse.p3=fuse.td.p3 13 256 | fuse.p4 16 192 | fuse.p5 19 384 | fuse.td.p4 10 384
        backbone.p2 2 64 | backbone.p3 4 128 | backbone.p4 6 128
    """,
    "yolo26n": """
        p3=td.p3 16 64 | p4 19 128 | p5=p5.head 22 256 | p3.head 16 64 >23 | p4.head 19 128 >23 | td.p4 13 128
        lateral.p3 4 128 >15 | lateral.p4 6 128 >12 | lateral.p5=backbone.p5 10 256 | sppf.pre 8 256 | sppf.post 9 256
        inner.p3.insert 16 16x2 | inner.p3.replace 16 16x2 | inner.p4.insert 19 32x2 | inner.p4.replace 19 32x2
        inner.p5.insert 22 128x1 | inner.p5.replace 22 64x1
        down.p3 16 64 >17 | down.p4 19 128 >20 | up.p5 10 256 >11 | up.p4 13 128 >14
        fuse.p3=fuse.td.p3 15 256 | fuse.p4 18 192 | fuse.p5 21 384 | fuse.td.p4 12 384
        backbone.p2 2 64 | backbone.p3 4 128 | backbone.p4 6 128
    """,
    "yolo26n-sem": """
        p3=p3.head=td.p3 16 64 | p4=td.p4 13 128 | p4.head 13 128 >17
        lateral.p3 4 128 >15 | lateral.p4 6 128 >12
        lateral.p5=up.p5=backbone.p5 10 256 | sppf.pre 8 256 | sppf.post 9 256
        inner.p3.insert 16 16x2 | inner.p3.replace 16 16x2 | inner.p4.insert 13 32x2 | inner.p4.replace 13 32x2
        up.p4 13 128 >14 | fuse.p3=fuse.td.p3 15 256 | fuse.p4=fuse.td.p4 12 384
        backbone.p2 2 64 | backbone.p3 4 128 | backbone.p4 6 128
    """,
    "yolov10n": """
        p3=td.p3 16 64 | p4 19 128 | p5=p5.head 22 256 | p3.head 16 64 >23 | p4.head 19 128 >23 | td.p4 13 128
        lateral.p3 4 64 >15 | lateral.p4 6 128 >12 | lateral.p5=backbone.p5 10 256 | sppf.pre 8 256 | sppf.post 9 256
        inner.p3.insert 16 32x1 | inner.p3.replace 16 32x1 | inner.p4.insert 19 64x1 | inner.p4.replace 19 64x1
        down.p3 16 64 >17 | down.p4 19 128 >20 | up.p5 10 256 >11 | up.p4 13 128 >14
        fuse.p3=fuse.td.p3 15 192 | fuse.p4 18 192 | fuse.p5 21 384 | fuse.td.p4 12 384
        backbone.p2 2 32 | backbone.p3 4 64 | backbone.p4 6 128
    """,
    "yolov6n": """
        p3=td.p3 19 32 | p4 23 64 | p5=p5.head 27 128 | p3.head 19 32 >28 | p4.head 23 64 >28 | td.p4 14 64
        lateral.p3 4 64 >17 | lateral.p4 6 128 >12 | lateral.p5=sppf.post=backbone.p5 9 256 | sppf.pre 8 256
        down.p3 19 32 >20 | down.p4 23 64 >24 | up.p5 10 64 >11 | up.p4 15 32 >16
        fuse.p3=fuse.td.p3 17 96 | fuse.p4 21 64 | fuse.p5 25 128 | fuse.td.p4 12 192
        backbone.p2 2 32 | backbone.p3 4 64 | backbone.p4 6 128
    """,
    "yolov3-tiny": """
        p4=p4.head=td.p4 19 256 | p5=p5.head 15 512 | lateral.p4 8 256 >18 | lateral.p5 12 512
        up.p5 16 128 | fuse.p4=fuse.td.p4 18 384
        backbone.p1 2 32 | backbone.p2 4 64 | backbone.p3 6 128 | backbone.p4 8 256 | backbone.p5 10 512
    """,
    "yolov9e": """
        p3=td.p3 35 256 | p4 38 512 | p5=p5.head 41 512 | p3.head 35 256 >42 | p4.head 38 512 >42 | td.p4 32 512
        lateral.p3 22 512 >34 | lateral.p4 25 1024 >31 | lateral.p5=sppf.post=backbone.p5 29 512 | sppf.pre 28 1024
        inner.p3.insert 35 64x4 | inner.p3.replace 35 64x4 | inner.p4.insert 38 128x4 | inner.p4.replace 38 128x4
        inner.p5.insert 41 256x4 | inner.p5.replace 41 256x4
        down.p3 35 256 >36 | down.p4 38 512 >39 | up.p5 29 512 >30 | up.p4 32 512 >33
        fuse.p3=fuse.td.p3 34 1024 | fuse.p4 37 768 | fuse.p5 40 1024 | fuse.td.p4 31 1536
        backbone.p2 19 256 | backbone.p3 22 512 | backbone.p4 25 1024
    """,
    "rtdetr-l": """
        p3=td.p3 21 256 | p4 24 256 | p5=p5.head 27 256 | p3.head 21 256 >28 | p4.head 24 256 >28 | td.p4 16 256
        lateral.p3 3 512 >19 | lateral.p4 7 1024 >14 | lateral.p5=backbone.p5 9 2048
        down.p3 21 256 >22 | down.p4 24 256 >25 | up.p5 12 256 >13 | up.p4 17 256 >18
        fuse.p3=fuse.td.p3 20 512 | fuse.p4 23 512 | fuse.p5 26 512 | fuse.td.p4 15 512
        backbone.p2 1 128 | backbone.p3 3 512 | backbone.p4 7 1024
    """,
    "yolov8n-p2": """
        p2=td.p2 18 32 | p3 21 64 | p4 24 128 | p5=p5.head 27 256 | p2.head 18 32 >28 | p3.head 21 64 >28
        p4.head 24 128 >28 | td.p4 12 128 | td.p3 15 64
        lateral.p2 2 32 >17 | lateral.p3 4 64 >14 | lateral.p4 6 128 >11
        lateral.p5=sppf.post=backbone.p5 9 256 | sppf.pre 8 256
        inner.p2.insert 18 16x1 | inner.p2.replace 18 16x1 | inner.p3.insert 21 32x1 | inner.p3.replace 21 32x1
        inner.p4.insert 24 64x1 | inner.p4.replace 24 64x1 | inner.p5.insert 27 128x1 | inner.p5.replace 27 128x1
        down.p2 18 32 >19 | down.p3 21 64 >22 | down.p4 24 128 >25
        up.p5 9 256 >10 | up.p4 12 128 >13 | up.p3 15 64 >16
        fuse.p2=fuse.td.p2 17 96 | fuse.p3 20 96 | fuse.p4 23 192 | fuse.p5 26 384
        fuse.td.p4 11 384 | fuse.td.p3 14 192
        backbone.p2 2 32 | backbone.p3 4 64 | backbone.p4 6 128
    """,
    "yolov8n-p6": """
        p3=td.p3 20 64 | p4 23 128 | p5 26 192 | p6=p6.head 29 256 | p3.head 20 64 >30 | p4.head 23 128 >30
        p5.head 26 192 >30 | td.p5 14 192 | td.p4 17 128
        lateral.p3 4 64 >19 | lateral.p4 6 128 >16 | lateral.p5 8 192 >13
        lateral.p6=sppf.post=backbone.p6 11 256 | sppf.pre 10 256
        inner.p3.insert 20 32x1 | inner.p3.replace 20 32x1 | inner.p4.insert 23 64x1 | inner.p4.replace 23 64x1
        inner.p5.insert 26 96x1 | inner.p5.replace 26 96x1 | inner.p6.insert 29 128x1 | inner.p6.replace 29 128x1
        down.p3 20 64 >21 | down.p4 23 128 >24 | down.p5 26 192 >27
        up.p6 11 256 >12 | up.p5 14 192 >15 | up.p4 17 128 >18
        fuse.p3=fuse.td.p3 19 192 | fuse.p4 22 192 | fuse.p5 25 320 | fuse.p6 28 448
        fuse.td.p5 13 448 | fuse.td.p4 16 320
        backbone.p2 2 32 | backbone.p3 4 64 | backbone.p4 6 128 | backbone.p5 8 192
    """,
}


def slots_of(name: str) -> list[str]:
    """The lines of `SLOTS`, one for each slot."""
    return [" ".join(one.split()) for line in SLOTS[name].strip().splitlines() for one in line.split("|")]


def written(slot) -> str:
    """A slot in the notation of `SLOTS`."""
    size = f"{slot.channels}x{slot.inside.sites}" if slot.inside else str(slot.channels)
    readers = f" >{','.join(map(str, slot.readers))}" if slot.readers else ""
    return f"{'='.join((slot.name, *slot.also))} {slot.row} {size}{readers}"
