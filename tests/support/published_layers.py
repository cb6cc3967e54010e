"""Names and shapes of the weights of published modules, from the repositories that the entries name."""

from __future__ import annotations


def layer(name, *shape, bias=True):
    return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if bias else {})}


def norm(name, width, statistics=True):
    running = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,), f"{name}.num_batches_tracked": ()}
    return {**layer(name, width), **(running if statistics else {})}


def normed(name, *shape):
    """Ultralytics' Conv."""
    return {f"{name}.conv.weight": shape, **norm(f"{name}.bn", shape[0])}


def large_kernel(horizontal, vertical, dilated_horizontal, dilated_vertical):
    """LSKA of 23 pixels on 16 channels."""
    return {
        **layer(horizontal, 16, 1, 1, 5),
        **layer(vertical, 16, 1, 5, 1),
        **layer(dilated_horizontal, 16, 1, 1, 7),
        **layer(dilated_vertical, 16, 1, 7, 1),
        **layer("conv1", 16, 16, 1, 1),
    }


PUBLISHED = {  # entry: channels, settings, name -> shape
    "triplet": (16, {"kernel_size": 7}, {
        f"{gate}.conv.{name}": shape for gate in ("cw", "hc", "hw")
        for name, shape in {"conv.weight": (1, 2, 7, 7), **norm("bn", 1)}.items()
    }),
    "lsk": (16, {}, {
        **layer("conv0", 16, 1, 5, 5), **layer("conv_spatial", 16, 1, 7, 7),
        **layer("conv1", 8, 16, 1, 1), **layer("conv2", 8, 16, 1, 1),
        **layer("conv_squeeze", 2, 2, 7, 7), **layer("conv", 16, 8, 1, 1),
    }),
    "caa": (16, {}, {
        **layer("conv1.conv", 16, 16, 1, 1), **layer("h_conv.conv", 16, 1, 1, 11),
        **layer("v_conv.conv", 16, 1, 11, 1), **layer("conv2.conv", 16, 16, 1, 1),
    }),
    "lite_mla": (16, {"head_dim": 8, "scales": (5,)}, {
        **layer("qkv.conv", 48, 16, 1, 1, bias=False),
        **layer("aggreg.0.0", 48, 1, 5, 5, bias=False), **layer("aggreg.0.1", 48, 8, 1, 1, bias=False),
        **layer("proj.conv", 16, 32, 1, 1, bias=False), **norm("proj.norm", 16),
    }),
    "window": (16, {"window_size": 4, "num_heads": 2}, {
        "relative_position_bias_table": (49, 2), "relative_position_index": (16, 16),
        **layer("qkv", 48, 16), **layer("proj", 16, 16),
    }),
    "bi_level_routing": (16, {"num_heads": 4, "n_win": 4, "topk": 4}, {
        **layer("lepe", 16, 1, 5, 5), **layer("qkv.qkv", 48, 16), **layer("wo", 16, 16),
    }),
    "bi_level_routing (NCHW)": (16, {"num_heads": 4, "n_win": 4, "topk": 4}, {
        **layer("lepe", 16, 1, 5, 5), **layer("qkv_linear", 48, 16, 1, 1), **layer("output_linear", 16, 16, 1, 1),
    }),
    "aattn": (16, {"num_heads": 2, "area": 4}, {
        **normed("qkv", 48, 16, 1, 1), **normed("proj", 16, 16, 1, 1), **normed("pe", 16, 1, 7, 7),
    }),
    "psa": (16, {"attn_ratio": 0.5, "num_heads": 2}, {
        **normed("attn.qkv", 32, 16, 1, 1), **normed("attn.proj", 16, 16, 1, 1), **normed("attn.pe", 16, 1, 3, 3),
        **normed("ffn.0", 32, 16, 1, 1), **normed("ffn.1", 16, 32, 1, 1),
    }),
    "cpca": (16, {}, {
        **layer("ca.fc1", 4, 16, 1, 1), **layer("ca.fc2", 16, 4, 1, 1), **layer("dconv5_5", 16, 1, 5, 5),
        **layer("dconv1_7", 16, 1, 1, 7), **layer("dconv7_1", 16, 1, 7, 1), **layer("dconv1_11", 16, 1, 1, 11),
        **layer("dconv11_1", 16, 1, 11, 1), **layer("dconv1_21", 16, 1, 1, 21), **layer("dconv21_1", 16, 1, 21, 1),
        **layer("conv", 16, 16, 1, 1),
    }),
    "lka": (16, {"k_size": 23}, {
        **layer("conv0", 16, 1, 5, 5), **layer("conv_spatial", 16, 1, 7, 7), **layer("conv1", 16, 16, 1, 1),
    }),
    "lska": (16, {"k_size": 23}, large_kernel("conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v")),
    "lska (detection)": (16, {"k_size": 23}, large_kernel("DW_conv_h", "DW_conv_v", "DW_D_conv_h", "DW_D_conv_v")),
    "eca": (64, {}, {"conv.weight": (1, 1, 3)}),
    "coord": (64, {}, {
        **layer("conv1", 8, 64, 1, 1), **norm("bn1", 8), **layer("conv_h", 64, 8, 1, 1), **layer("conv_w", 64, 8, 1, 1),
    }),
    "shuffle": (64, {}, {
        **{name: (1, 4, 1, 1) for name in ("cweight", "cbias", "sweight", "sbias")}, **norm("gn", 4, statistics=False),
    }),
    "gc": (64, {}, {
        **layer("conv_mask", 1, 64, 1, 1), **layer("channel_add_conv.0", 4, 64, 1, 1),
        "channel_add_conv.1.weight": (4, 1, 1), "channel_add_conv.1.bias": (4, 1, 1),
        **layer("channel_add_conv.3", 64, 4, 1, 1),
    }),
    "ema": (64, {}, {
        **norm("gn", 8, statistics=False), **layer("conv1x1", 8, 8, 1, 1), **layer("conv3x3", 8, 8, 3, 3),
    }),
    "mlca": (64, {"kernel_size": 3}, {"conv.weight": (1, 1, 3), "conv_local.weight": (1, 1, 3)}),
    "efficient_attention": (16, {"group_split": (4, 4)}, {
        **layer("convs.0", 24, 1, 3, 3), **layer("act_blocks.0.act_block.0", 8, 8, 1, 1),
        **layer("act_blocks.0.act_block.2", 8, 8, 1, 1), **layer("qkvs.0", 24, 16, 1, 1),
        **layer("global_q", 8, 16, 1, 1), **layer("global_kv", 16, 16, 1, 1), **layer("proj", 16, 16, 1, 1),
    }),
    "nam": (16, {}, norm("Channel_Att.bn2", 16)),
    "mca": (64, {"k_size": 3}, {
        f"{gate}.{name}": shape for gate in ("h_cw", "w_hc", "c_hw")
        for name, shape in {"weight": (2,), "conv.weight": (1, 1, 1, 3)}.items()
    }),
    "shsa": (16, {"qk_dim": 16, "partial_ratio": 0.25}, {
        **layer("pre_norm", 4), "qkv.c.weight": (36, 4, 1, 1), **norm("qkv.bn", 36),
        "proj.1.c.weight": (16, 16, 1, 1), **norm("proj.1.bn", 16),
    }),
    "focal_modulation": (16, {}, {
        **layer("f", 35, 16), **layer("h", 16, 16, 1, 1), **layer("proj", 16, 16),
        "focal_layers.0.0.weight": (16, 1, 3, 3), "focal_layers.1.0.weight": (16, 1, 5, 5),
    }),
    "criss_cross": (16, {}, {
        **layer("query_conv", 2, 16, 1, 1), **layer("key_conv", 2, 16, 1, 1), **layer("value_conv", 16, 16, 1, 1),
        "gamma": (1,),
    }),
    "irmb": (16, {"dim_head": 16}, {
        **norm("norm", 16), "qk.conv.weight": (32, 16, 1, 1), "v.conv.weight": (16, 16, 1, 1),
        "conv_local.conv.weight": (16, 1, 3, 3), **norm("conv_local.norm", 16), "proj.conv.weight": (16, 16, 1, 1),
    }),
    "cafm": (16, {"num_heads": 4}, {
        "temperature": (4, 1, 1), "qkv.weight": (48, 16, 1, 1, 1), "qkv_dwconv.weight": (48, 1, 3, 3, 3),
        "project_out.weight": (16, 16, 1, 1, 1), **layer("fc", 9, 12, 1, 1, 1), **layer("dep_conv", 16, 9, 3, 3, 3),
    }),
    "resblock_cbam": (16, {}, {
        "bottleneck.0.weight": (16, 16, 1, 1), **norm("bottleneck.1", 16),
        "bottleneck.3.weight": (16, 16, 3, 3), **norm("bottleneck.4", 16),
        "bottleneck.6.weight": (16, 16, 1, 1), **norm("bottleneck.7", 16),
        **layer("cbam.channel_attention.fc", 16, 16, 1, 1), "cbam.spatial_attention.cv1.weight": (1, 2, 7, 7),
    }),
}  # fmt: skip
